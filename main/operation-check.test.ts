import { expect, test } from '@jest/globals';
import { operationCheck } from './operation-check.ts';

const check = operationCheck();

test('an operation that clients could run has no fault', () => {
  expect(
    check(
      'query Evaluate($key: String!) { evaluateFlag(key: $key, context: {}) { ...E } } fragment E on Evaluation { value }',
    ),
  ).toEqual([]);
  expect(check('subscription Changes { flagChanges(environment: STAGING) { revision } }')).toEqual([]);
});

test.each([
  ['a body that is not GraphQL', 'query {', /Syntax Error/],
  ['an unknown field', 'query A { nothing }', /Cannot query field "nothing"/],
  [
    'a field that is for gateways',
    'query A { persistedOperation(id: "x") { body } }',
    /Cannot query field "persistedOperation"/,
  ],
  ['several operations', 'query A { me { kind } } query B { me { kind } }', /exactly one operation/],
])('an operation that no client could run has a fault: %s', (_what, body, message) => {
  expect(check(body)[0]).toEqual({ message: expect.stringMatching(message), limit: undefined });
});

test("an operation beyond the gateway's limits has a fault that names the limit", () => {
  const body = `query A { ${Array.from({ length: 1_000 }, (_, index) => `a${index}: __typename`).join(' ')} }`;
  expect(check(body)).toEqual([{ message: expect.any(String), limit: expect.any(Number) }]);
});
