/** Operations whose answers revisions govern, which a gateway may keep until the next revision. */

/** Operations whose answers revisions govern, without the brace at their end: the selection goes on after them. */
export const GOVERNED_OPERATIONS = {
  flag: 'query ($key: String!) { it: flag(key: $key) { id name draft killed ...F rules { ...R } } ',
  flags:
    'query ($environment: Environment, $first: Int = 3) { flags(filter: { environment: $environment }, first: $first, orderBy: { field: KEY, direction: ASC }) { totalCount ... on FlagConnection { nodes { ...F rules { ...R } name } } pageInfo { hasNextPage endCursor } } ',
  search: 'query ($key: String!) { flags(filter: { search: $key }) { nodes { ...F rules { ...R } } } ',
  evaluateFlag:
    'query ($key: String!, $context: EvaluationContext!) { evaluateFlag(key: $key, context: $context) { value variant reason ruleId revision failedPrerequisite inScope } ',
  evaluateFlags:
    'query ($environment: Environment!, $context: EvaluationContext!) { evaluateFlags(environment: $environment, context: $context) { flagKey value variant reason } ',
  flagSync:
    'query ($environment: Environment!, $since: Int) { flagSync(environment: $environment, since: $since) { revision full flags { key revision removed jws } } ',
} as const;
const FRAGMENTS = {
  F: ' fragment F on Flag { key revision enabled environment __typename }',
  R: ' fragment R on Rule { id type priority conditions }',
};
export type GovernedOperation = keyof typeof GOVERNED_OPERATIONS;

export const governedText = (name: GovernedOperation, more = '') => {
  const used = Object.entries(FRAGMENTS).filter(([fragment]) => GOVERNED_OPERATIONS[name].includes(`...${fragment} `));
  return `${GOVERNED_OPERATIONS[name]}${more}}${used.map(([, fragment]) => fragment).join('')}`;
};

/** Gives those of the generated variables that an operation declares; others would be refused. */
export const declaredVariables = ({ name, variables }: { name: GovernedOperation; variables: object }) =>
  Object.fromEntries(
    Object.entries(variables).filter(([variable]) => GOVERNED_OPERATIONS[name].includes(`$${variable}:`)),
  );
