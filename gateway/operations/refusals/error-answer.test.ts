import { describe, expect, test } from '@jest/globals';
import { GraphQLError, parse, validate } from 'graphql';
import { FleetFlagError } from '../../../core/errors.ts';
import { API_SCHEMA } from '../../testing/api-schema.ts';
import { answerTo } from './error-answer.ts';

const FAULT = 'connect ECONNREFUSED 10.0.0.7:5432';
const MASKED = {
  message: 'Something went wrong on our side.',
  extensions: { code: 'INTERNAL_SERVER_ERROR', requestId: 'r1' },
};

describe('an error that leaves the gateway', () => {
  test.each<[string, unknown]>([
    ['an exception', new Error(FAULT)],
    ['text that was thrown', FAULT],
    ['nothing that was thrown', undefined],
    ['an exception in a field', new GraphQLError(FAULT, { originalError: new Error(FAULT) })],
    ['an error of a subgraph without a code', new GraphQLError(FAULT, { extensions: { serviceName: 'flags' } })],
    [
      'an error of a subgraph with a code of its own',
      new GraphQLError(FAULT, {
        extensions: { code: 'ECONNREFUSED', serviceName: 'flags', stacktrace: ['at x.ts:1'] },
      }),
    ],
    [
      'an error that calls itself internal',
      new GraphQLError(FAULT, { extensions: { code: 'INTERNAL_SERVER_ERROR', exception: { stacktrace: [FAULT] } } }),
    ],
    ['an error with a code that every object has', new GraphQLError(FAULT, { extensions: { code: 'toString' } })],
    ['what looks like an error', { message: FAULT, extensions: { code: 'X' } }],
  ])('says nothing of %s but an id', (_what, error) => {
    expect(answerTo(error, 'r1')).toEqual(MASKED);
  });

  test('is a refusal of ours as it was meant', () => {
    const refusal = new FleetFlagError('CONFLICT', 'Changed since.', { currentRevision: 7 });
    const form = { message: 'Changed since.', extensions: { code: 'CONFLICT', currentRevision: 7 } };
    expect(answerTo(refusal, 'r1')).toEqual(form);
    expect(answerTo(new GraphQLError('x', { originalError: refusal, path: ['a', 0] }), 'r1')).toEqual({
      ...form,
      path: ['a', 0],
    });
  });

  test("is a subgraph's refusal without the name of the subgraph or anything else of it", () => {
    const error = new GraphQLError('Too many.', {
      path: ['a'],
      extensions: { code: 'LIMIT_EXCEEDED', limit: 100, serviceName: 'flags', query: '{ a }', stacktrace: ['x'] },
    });
    expect(answerTo(error)).toEqual({
      message: 'Too many.',
      path: ['a'],
      extensions: { code: 'LIMIT_EXCEEDED', limit: 100 },
    });
  });

  test("is a subgraph's refusal of input with the field that it named, and not one that is looked up", () => {
    const error = new GraphQLError('No.', {
      path: ['a'],
      extensions: { code: 'BAD_USER_INPUT', field: 'input.conditions.vins.1', serviceName: 'flags' },
    });
    expect(answerTo(error, 'r1', parse('{ a }')).extensions).toEqual({
      code: 'BAD_USER_INPUT',
      field: 'input.conditions.vins.1',
    });
    const without = new GraphQLError('No.', {
      path: ['a'],
      extensions: { code: 'BAD_USER_INPUT', serviceName: 'flags' },
    });
    expect(answerTo(without, 'r1', parse('{ a }')).extensions).toEqual({ code: 'BAD_USER_INPUT' });
  });

  test('is BAD_USER_INPUT with place and field for what GraphQL refuses', () => {
    const document = parse('{ flags { colour } }');
    const [found] = validate(API_SCHEMA, document);
    const error = new GraphQLError(found?.message ?? '', {
      nodes: found?.nodes ?? null,
      extensions: { code: 'GRAPHQL_VALIDATION_FAILED' },
    });
    expect(answerTo(error, 'r1', document)).toEqual({
      message: expect.stringContaining('Cannot query field "colour"'),
      locations: [{ line: 1, column: 11 }],
      extensions: { code: 'BAD_USER_INPUT', field: 'flags.colour' },
    });
  });

  test.each(['GRAPHQL_PARSE_FAILED', 'BAD_REQUEST', 'OPERATION_RESOLUTION_FAILURE', 'PERSISTED_QUERY_NOT_SUPPORTED'])(
    'has for %s a code of the catalogue and no field',
    (code) => {
      expect(answerTo(new GraphQLError('No.', { extensions: { code } }))).toEqual({
        message: 'No.',
        extensions: { code: 'BAD_USER_INPUT' },
      });
    },
  );
});
