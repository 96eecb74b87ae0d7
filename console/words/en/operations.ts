/** The texts of registered operations. */
export const operations = {
  operationsLead: 'Programs with an API key run registered operations only. The text of an ID never changes.',
  newOperations: 'Register operations',
  toOperations: 'All operations',
  searchOperations: 'Find by name, ID or text',
  operationsFound: (count: number, text: string) => `${text} ${count === 1 ? 'operation' : 'operations'}`,
  noOperationFound: 'No operation fits.',
  operationTypes: { QUERY: 'Reads', MUTATION: 'Changes', SUBSCRIPTION: 'Streams' },
  operationId: 'ID',
  operationHash: 'SHA-256',
  registeredAt: 'Registered',
  whoMayRun: 'Who may run it',
  everyKey: 'Every key whose role permits it',
  keysOnly: 'Only these keys:',
  removeOperation: 'Remove',
  removeThisOperation: (name: string) => `Remove ${name}`,
  removeLead:
    'Programs that send its ID are refused within seconds. A call in progress and an open subscription go on to their end; to end those as well, revoke the key.',
  removeAgain: 'The same text can be registered again, for keys that you choose then.',
  manifest: 'Operation, or manifest',
  manifestHint:
    'A GraphQL text with one named operation, or the manifest that Apollo, Relay or GraphQL Code Generator wrote, as JSON.',
  manifestMissing: 'Paste an operation or a manifest.',
  notJson: 'This begins as JSON, but cannot be read as such.',
  noName: 'The operation has no name. Write one after its kind, such as “query Fleet”.',
  operationIdHint: 'For a single operation: the ID that programs send. Empty: its name.',
  bindKeys: 'Keys that may run them',
  bindKeysHint: 'None: every key whose role permits it. An operation that is registered already keeps its other keys.',
  noKeysYet: 'There is no valid key yet.',
  register: 'Register',
  registered: (count: number, text: string) =>
    `${text} ${count === 1 ? 'operation is' : 'operations are'} registered, and can be run within a second.`,
};
