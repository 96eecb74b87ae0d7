import { readFileSync } from 'node:fs';
import { describe, expect, test } from '@jest/globals';
import { GraphQLError, getIntrospectionQuery } from 'graphql';
import { answerTo } from '../refusals/error-answer.ts';
import { API_SCHEMA } from '../../testing/api-schema.ts';
import { checkOperation } from './check-operation.ts';
import { OPERATION_LIMITS } from './operation-limits.ts';
import { OVER_THE_LIMIT } from './testing/over-the-limit.ts';

const check = (text: string, options: { introspection?: boolean; operationName?: string } = {}) =>
  checkOperation(text, API_SCHEMA, { introspection: true, ...options });

describe('an operation that is checked', () => {
  test.each(OVER_THE_LIMIT)('is refused for its $limit: $what', ({ query, limit }) => {
    const refusals = check(query).map((error) => answerTo(error).extensions);
    expect(refusals).toContainEqual({ code: 'LIMIT_EXCEEDED', limit: OPERATION_LIMITS[limit] });
  });

  test.each(OVER_THE_LIMIT.filter(({ within }) => within !== undefined))(
    'may have as many $limit as the limit says: $what',
    ({ within = '' }) => {
      expect(check(within)).toEqual([]);
    },
  );

  test('is refused as GraphQL refuses it', () => {
    for (const text of [
      '{',
      '{ nothing }',
      'subscription ($v: Boolean!) { flagChanges(environment: STAGING) @include(if: $v) { revision } }',
    ]) {
      expect(check(text)).toEqual([expect.any(GraphQLError)]);
    }
  });

  test('has to be one, and the one that is named', () => {
    expect(check('query A { me { kind } } query B { me { kind } }')).toMatchObject([
      { extensions: { field: 'operationName' } },
    ]);
    expect(check('query A { me { kind } } query B { me { kind } }', { operationName: 'B' })).toEqual([]);
    expect(check('query A { me { kind } }', { operationName: 'C' })).toHaveLength(1);
  });

  test('may ask for the schema only where that is on', () => {
    const text = getIntrospectionQuery({
      descriptions: true,
      inputValueDeprecation: true,
      specifiedByUrl: true,
      directiveIsRepeatable: true,
      schemaDescription: true,
    });
    expect(check(text)).toEqual([]);
    expect(check(text, { introspection: false }).length).toBeGreaterThan(0);
    expect(check('{ __typename }', { introspection: false })).toEqual([]);
  });

  test('gets names of the schema only where introspection is allowed', () => {
    expect(check('{ flg(key: "x") { key } }')[0]?.message).toContain('Did you mean');
    expect(check('{ flg(key: "x") { key } }', { introspection: false })[0]?.message).not.toContain('Did you mean');
  });
});

describe('what is sensible passes', () => {
  test.each([
    'subscription ($environment: Environment!) { flagChanges(environment: $environment) { environment revision previousRevision signed { key revision removed jws } statement } }',
    'query ($environment: Environment!, $since: Int) { flagSync(environment: $environment, since: $since) { environment revision full flags { key revision removed jws } statement } }',
  ])('of a vehicle: %s', (text) => {
    expect(check(text)).toEqual([]);
  });

  test('of the README and the guides', () => {
    const readme = readFileSync(new URL('../../../README.md', import.meta.url), 'utf8');
    const queries = Array.from(
      readme.matchAll(/^ask '(.*?)'/gm),
      ([, body]) => (JSON.parse(body ?? '') as { query: string }).query,
    );
    expect(queries.length).toBeGreaterThan(3);
    for (const query of queries) expect(check(query)).toEqual([]);
  });

  test.each([
    [
      'a page of flags with all that a list shows',
      '{ flags(first: 100) { totalCount pageInfo { endCursor } nodes { key enabled rules { id type rollout { status steps { percentage at } } } createdBy { name } changeRequests { id } } } }',
    ],
    [
      'a flag with its history and experiments',
      '{ flag(key: "x") { key rules { id conditions } history(first: 100) { nodes { action user { name } createdAt } } experiments { id name status } } }',
    ],
    [
      'the audit log with its people and flags',
      '{ auditLogs(first: 100) { edges { cursor node { action user { name } flag { key } } } pageInfo { hasNextPage endCursor } } }',
    ],
    [
      'the front page',
      '{ a: flags(first: 10, filter: {environment: PRODUCTION}) { totalCount nodes { key } } b: flags(first: 10, filter: {environment: STAGING}) { totalCount nodes { key } } changeRequests { id flag { key } requestedBy { name } } experiments(first: 20) { nodes { name flag { key } } } }',
    ],
  ])('of a dashboard: %s', (_what, text) => {
    expect(check(text)).toEqual([]);
  });
});
