import { describe, expect, test } from '@jest/globals';
import { Kind, parse, validate, type OperationDefinitionNode } from 'graphql';
import { PERMISSIONS } from '../../core/access/permissions.ts';
import type { Caller, ROLES } from '../../core/access/caller.ts';
import { API_SCHEMA } from '../testing/api-schema.ts';
import { authorizeOperation } from './authorize.ts';

const VIN = 'KMHK281HGNU000001';
const ANONYMOUS: Caller = { kind: 'anonymous' };
const VEHICLE: Caller = { kind: 'vehicle', vin: VIN, environment: 'staging' };
const user = (role: (typeof ROLES)[number]): Caller => ({ kind: 'user', userId: 'u1', role, sessionKey: null });

/** Gives the refusal of an operation; null where it is permitted. */
function refusal(
  caller: Caller,
  query: string,
  variables: Record<string, unknown> = {},
): { code: unknown; path: unknown } | null {
  const document = parse(query);
  expect(validate(API_SCHEMA, document)).toEqual([]);
  const operation = document.definitions.find(
    (node): node is OperationDefinitionNode => node.kind === Kind.OPERATION_DEFINITION,
  );
  if (operation === undefined) throw new Error('no operation');
  try {
    authorizeOperation(API_SCHEMA, { document, operation, variables }, caller, { hideSuggestions: false });
    return null;
  } catch (error) {
    const { extensions, path } = error as { extensions: { code: unknown }; path: unknown };
    return { code: extensions.code, path };
  }
}

const code = (...args: Parameters<typeof refusal>) => refusal(...args)?.code ?? null;

describe('the permission table', () => {
  test('has a row for every root field of the public API, and none for another', () => {
    const fields = [API_SCHEMA.getQueryType(), API_SCHEMA.getMutationType(), API_SCHEMA.getSubscriptionType()].flatMap(
      (type) => Object.keys(type?.getFields() ?? {}).map((field) => `${type?.name}.${field}`),
    );
    expect(fields.filter((field) => PERMISSIONS[field] === undefined)).toEqual([]);
    const rows = Object.keys(PERMISSIONS).filter(
      (name) => /^(Query|Mutation|Subscription)\./.test(name) && PERMISSIONS[name]?.gateway !== true,
    );
    expect(rows.filter((row) => !fields.includes(row))).toEqual([]);
  });
});

describe('an operation', () => {
  const KILL = 'mutation { killSwitch(flagKey: "a", reason: "b") { applied } }';
  const ENABLE = 'mutation { enableFlag(key: "a") { applied } }';
  const USERS = '{ users { totalCount } }';
  const FLAG = '{ flag(key: "a") { key } }';
  const LOGIN = 'mutation { login(email: "a@b", password: "c") { token } }';

  test.each<[string, Caller, string, string | null]>([
    ['an anonymous caller reads', ANONYMOUS, FLAG, 'UNAUTHENTICATED'],
    ['an anonymous caller signs in', ANONYMOUS, LOGIN, null],
    ['an anonymous caller reads the schema', ANONYMOUS, '{ __typename __schema { queryType { name } } }', null],
    ['READ reads', user('READ'), FLAG, null],
    ['READ writes', user('READ'), ENABLE, 'FORBIDDEN'],
    ['READ pulls a kill switch', user('READ'), KILL, 'FORBIDDEN'],
    ['WRITE writes', user('WRITE'), ENABLE, null],
    ['WRITE lists users', user('WRITE'), USERS, 'FORBIDDEN'],
    ['SAFETY writes', user('SAFETY'), ENABLE, 'FORBIDDEN'],
    ['SAFETY pulls a kill switch', user('SAFETY'), KILL, null],
    ['ADMIN lists users', user('ADMIN'), USERS, null],
    ['a READ key reads', { kind: 'apiKey', apiKeyId: 'k', role: 'READ', rateLimitPerMin: 60 }, FLAG, null],
    ['a READ key writes', { kind: 'apiKey', apiKeyId: 'k', role: 'READ', rateLimitPerMin: 60 }, ENABLE, 'FORBIDDEN'],
    ['a vehicle reads flags', VEHICLE, FLAG, 'FORBIDDEN'],
    ['a vehicle pulls a kill switch', VEHICLE, KILL, 'FORBIDDEN'],
  ])('is permitted or refused by the table when %s', (_what, caller, query, expected) => {
    expect(code(caller, query)).toBe(expected);
  });

  test('is refused under the name that the caller gave the field', () => {
    expect(refusal(user('READ'), '{ ok: flag(key: "a") { key } mine: users { totalCount } }')).toEqual({
      code: 'FORBIDDEN',
      path: ['mine'],
    });
  });

  test.each([
    ['an alias', '{ flag: users { totalCount } }'],
    ['an inline fragment', '{ ... { users { totalCount } } }'],
    ['an inline fragment with a type', '{ ... on Query { ... on Query { users { totalCount } } } }'],
    ['a fragment', '{ ...A } fragment A on Query { users { totalCount } }'],
    ['a fragment in a fragment', '{ ...A } fragment A on Query { ...B } fragment B on Query { users { totalCount } }'],
    ['a fragment used again', '{ ...A ...A } fragment A on Query { flag(key: "a") { key } users { totalCount } }'],
    ['another field before it', '{ flag(key: "a") { key } users { totalCount } }'],
    ['a directive that leaves it out', '{ users @skip(if: true) { totalCount } }'],
  ])('does not hide a field behind %s', (_what, query) => {
    expect(refusal(user('READ'), query)?.code).toBe('FORBIDDEN');
    expect(refusal(user('ADMIN'), query)).toBeNull();
  });

  test('that names a fragment that names itself is still checked', () => {
    const document = parse('{ ...A } fragment A on Query { ...A users { totalCount } }');
    const operation = document.definitions[0] as OperationDefinitionNode;
    expect(() =>
      authorizeOperation(API_SCHEMA, { document, operation, variables: {} }, user('READ'), { hideSuggestions: false }),
    ).toThrow('Query.users');
  });
});

describe('a vehicle', () => {
  const sync = (environment: string, head = '') =>
    `query ${head} { flagSync(environment: ${environment}) { revision } }`;

  test.each<[string, string, Record<string, unknown>, string | null]>([
    ['its own, as a literal', sync('STAGING'), {}, null],
    ['another, as a literal', sync('PRODUCTION'), {}, 'FORBIDDEN'],
    ['its own, as a variable', sync('$e', '($e: Environment!)'), { e: 'STAGING' }, null],
    ['another, as a variable', sync('$e', '($e: Environment!)'), { e: 'PRODUCTION' }, 'FORBIDDEN'],
    ['its own, as a default', sync('$e', '($e: Environment! = STAGING)'), {}, null],
    ['another, as a default', sync('$e', '($e: Environment! = PRODUCTION)'), {}, 'FORBIDDEN'],
    [
      'another, over its own as a default',
      sync('$e', '($e: Environment! = STAGING)'),
      { e: 'PRODUCTION' },
      'FORBIDDEN',
    ],
    ['its own, over another as a default', sync('$e', '($e: Environment! = PRODUCTION)'), { e: 'STAGING' }, null],
    ['null, over its own as a default', sync('$e', '($e: Environment = STAGING)'), { e: null }, 'FORBIDDEN'],
    ['none that there is', sync('$e', '($e: Environment!)'), { e: 'MARS' }, 'FORBIDDEN'],
    ['nothing', sync('$e', '($e: Environment!)'), {}, 'FORBIDDEN'],
    [
      'its own and under an alias another',
      '{ a: flagSync(environment: STAGING) { revision } b: flagSync(environment: PRODUCTION) { revision } }',
      {},
      'FORBIDDEN',
    ],
    [
      'another, in a subscription',
      'subscription { flagChanges(environment: DEVELOPMENT) { revision } }',
      {},
      'FORBIDDEN',
    ],
    ['its own, in a subscription', 'subscription { flagChanges(environment: STAGING) { revision } }', {}, null],
  ])('may sync its own environment only; the operation names %s', (_what, query, variables, expected) => {
    expect(code(VEHICLE, query, variables)).toBe(expected);
  });

  test('reads its own record and no other', () => {
    const query = 'query ($vin: String!) { vehicle(vin: $vin) { vin } }';
    expect(code(VEHICLE, query, { vin: VIN })).toBeNull();
    expect(code(VEHICLE, query, { vin: 'KMHK281HGNU000002' })).toBe('FORBIDDEN');
    expect(code(VEHICLE, query, { vin: VIN.toLowerCase() })).toBe('FORBIDDEN');
  });
});

describe('a variable that does not fit', () => {
  test('is shown only to callers who may run the operation', () => {
    const query = 'query ($e: Environment!) { flagSync(environment: $e) { revision } }';
    for (const e of ['MARS', 7, null, undefined]) {
      expect(code(user('READ'), query, { e })).toBe('BAD_USER_INPUT');
      expect(code(ANONYMOUS, query, { e })).toBe('UNAUTHENTICATED');
    }
    expect(
      code(user('READ'), 'query ($e: Environment = STAGING) { flagSync(environment: $e) { revision } }', { e: null }),
    ).toBe('BAD_USER_INPUT');
  });

  test.each([
    [
      'query ($e: Environment!, $since: Int) { flagSync(environment: $e, since: $since) { revision } }',
      'since',
      [1e15, -1e15, 1.5, '1', true, []],
    ],
    [
      'query ($since: Int, $e: Environment!) { flagSync(environment: $e, since: $since) { revision } }',
      'since',
      [1e15],
    ],
    [
      'query ($e: Environment!, $nonce: String) { flagSync(environment: $e, nonce: $nonce) { revision } }',
      'nonce',
      [7, {}],
    ],
    [
      'query ($e: Environment!, $yes: Boolean!) { flagProof(environment: $e) @include(if: $yes) }',
      'yes',
      [null, 'yes', undefined],
    ],
  ])(
    'is a fault of its own, and does not hide that a vehicle names a foreign environment: %s',
    (query, name, values) => {
      for (const value of values) {
        expect(code(VEHICLE, query, { e: 'STAGING', [name]: value })).toBe('BAD_USER_INPUT');
        expect(code(VEHICLE, query, { e: 'PRODUCTION', [name]: value })).toBe('FORBIDDEN');
        expect(code(VEHICLE, query, { e: 'MARS', [name]: value })).toBe('FORBIDDEN');
      }
    },
  );
});
