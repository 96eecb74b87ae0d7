/** Documents that are just beyond one limit each, and where that is simple one that is just within it. */
import { OPERATION_LIMITS, type OperationLimit } from '../operation-limits.ts';

export interface OverTheLimit {
  readonly what: string;
  readonly limit: OperationLimit;
  readonly query: string;
  readonly within?: string;
}

const times = (count: number, text: (index: number) => string) =>
  Array.from({ length: count }, (_, index) => text(index)).join(' ');

/** `depth` fields below each other: three for each time that a flag's history leads back to the flag. */
function deep(depth: number, spread: (inner: string) => string): string {
  const rounds = Math.floor((depth - 2) / 3);
  const rest =
    ['key', 'history(first: 1) { totalCount }', 'history(first: 1) { nodes { action } }'][depth - 2 - rounds * 3] ?? '';
  let inner = rest;
  for (let round = 0; round < rounds; round++) inner = spread(`history(first: 1) { nodes { flag { ${inner} } } }`);
  return `{ flag(key: "x") { ${inner} } }`;
}

const inPlace = (inner: string) => inner;
const inFragments = (inner: string) => `... on Flag { ... { ${inner} } }`;

/** A fragment that is spread twice in another one, and so on. */
const doubling = (levels: number, leaf: string) =>
  `{ flag(key: "x") { ...F0 } } ${times(levels, (n) => `fragment F${n} on Flag { ...F${n + 1} ...F${n + 1} }`)} fragment F${levels} on Flag { ${leaf} }`;

export const OVER_THE_LIMIT: readonly OverTheLimit[] = [
  // `{`, `}` and the names: of a document that would be refused for its fields, too, if it were parsed.
  { what: 'a long list of names', limit: 'tokens', query: `{ ${'__typename '.repeat(OPERATION_LIMITS.tokens - 1)}}` },
  {
    what: 'a literal',
    limit: 'tokens',
    query: `{ flags(filter: {search: "x"}) { totalCount } evaluateFlag(key: "x", context: {attributes: [${'1 '.repeat(OPERATION_LIMITS.tokens)}]}) { value } }`,
  },
  {
    what: 'fields below each other',
    limit: 'depth',
    query: deep(OPERATION_LIMITS.depth + 1, inPlace),
    within: deep(OPERATION_LIMITS.depth, inPlace),
  },
  {
    what: 'the same in fragments',
    limit: 'depth',
    query: deep(OPERATION_LIMITS.depth + 1, inFragments),
    within: deep(OPERATION_LIMITS.depth, inFragments),
  },
  {
    what: 'in a part that a variable may include',
    limit: 'depth',
    query: deep(OPERATION_LIMITS.depth + 1, inPlace).replace(
      '{ flag(key: "x")',
      'query ($v: Boolean = false) { flag(key: "x") @include(if: $v)',
    ),
  },
  {
    what: 'one field under many names',
    limit: 'aliases',
    query: `{ flag(key: "x") { ${times(OPERATION_LIMITS.aliases + 1, (n) => `a${n}: key`)} } }`,
    within: `{ flag(key: "x") { ${times(OPERATION_LIMITS.aliases, (n) => `a${n}: key`)} } }`,
  },
  { what: 'in fragments that double', limit: 'aliases', query: doubling(5, 'a: key') },
  {
    what: 'many requests in one',
    limit: 'rootFields',
    query: `{ ${times(OPERATION_LIMITS.rootFields + 1, (n) => `a${n}: flag(key: "${n}") { key }`)} }`,
    within: `{ ${times(OPERATION_LIMITS.rootFields, (n) => `a${n}: flag(key: "${n}") { key }`)} }`,
  },
  {
    what: 'many passwords in one',
    limit: 'rootFields',
    query: `mutation { ${times(OPERATION_LIMITS.rootFields + 1, (n) => `a${n}: login(email: "a@b", password: "${n}") { token }`)} }`,
  },
  {
    what: 'in fragments',
    limit: 'rootFields',
    query: `{ ...A ...B } fragment A on Query { ${times(OPERATION_LIMITS.rootFields, (n) => `a${n}: flag(key: "${n}") { key }`)} } fragment B on Query { me { kind } }`,
  },
  {
    what: 'one field again and again',
    limit: 'fields',
    query: `{ me { ${'kind '.repeat(OPERATION_LIMITS.fields)} } }`,
    within: `{ me { ${'kind '.repeat(OPERATION_LIMITS.fields / 2 - 1)} } flag(key: "x") { ${'key '.repeat(OPERATION_LIMITS.fields / 2 - 1)} } }`,
  },
  { what: 'in fragments that double', limit: 'fields', query: doubling(60, 'key') },
  {
    what: 'pages of pages',
    limit: 'cost',
    query: '{ flags(first: 100) { nodes { history(first: 100) { nodes { user { name } } } } } }',
    within: '{ flags(first: 100) { nodes { history(first: 40) { nodes { user { name } } } } } }',
  },
  {
    what: 'default pages of default pages',
    limit: 'cost',
    query: '{ flags { nodes { history { nodes { flag { history { nodes { user { name } } } } } } } } }',
  },
  {
    what: 'in a fragment',
    limit: 'cost',
    query:
      '{ flags(first: 100) { ...F } } fragment F on FlagConnection { edges { node { history(first: 100) { ...H } } } } fragment H on AuditLogConnection { nodes { id } }',
  },
  {
    what: 'in a subscription',
    limit: 'cost',
    query:
      'subscription { flagChanges(environment: STAGING) { flag { history(first: 100) { nodes { flag { history(first: 100) { nodes { action } } } } } } } }',
  },
];
