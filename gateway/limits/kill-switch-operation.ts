import { OperationTypeNode, type DocumentNode, type OperationDefinitionNode } from 'graphql';
import { rootFieldsOf } from '../auth/authorize.ts';

/** Whether an operation does nothing but pull kill switches: it goes before all others, at the gateway and behind it. */
export function isKillSwitch(document: DocumentNode, operation: OperationDefinitionNode): boolean {
  if (operation.operation !== OperationTypeNode.MUTATION) return false;
  const names = rootFieldsOf(document, operation).map(({ name }) => name.value).filter((name) => name !== '__typename');
  return names.length > 0 && names.every((name) => name === 'killSwitch');
}
