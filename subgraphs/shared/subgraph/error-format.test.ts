import { GraphQLError } from 'graphql';
import { pino } from 'pino';
import { describe, expect, test } from '@jest/globals';
import { FleetFlagError, badInput } from '../../../core/errors.ts';
import { formatForGateway, logFaults } from './subgraph.ts';

/** Gives an error as the GraphQL library passes it on when a resolver has thrown `thrown`. */
const located = (thrown: Error) => new GraphQLError(thrown.message, { path: ['flag', 0], originalError: thrown });
const format = (thrown: Error) => {
  const error = located(thrown);
  return formatForGateway(error.toJSON(), error);
};

const connectionRefused = Object.assign(new Error('connect ECONNREFUSED 10.1.2.3:5432'), { code: 'ECONNREFUSED' });

describe('an error on its way to the gateway', () => {
  test('keeps code, message, path and details when it is a refusal', () => {
    expect(format(badInput('input.3.vin', 'Not so.'))).toEqual({
      message: 'Not so.',
      path: ['flag', 0],
      extensions: { code: 'BAD_USER_INPUT', field: 'input.3.vin' },
    });
    expect(format(new FleetFlagError('CONFLICT', 'Changed.', { currentRevision: 7 }))).toMatchObject({
      extensions: { code: 'CONFLICT', currentRevision: 7 },
    });
    expect(format(new FleetFlagError('RATE_LIMITED', 'Wait.', { retryAfter: 1 }))).toMatchObject({
      extensions: { code: 'RATE_LIMITED', retryAfter: 1 },
    });
  });

  test("reveals nothing of a refusal's cause", () => {
    const refusal = new FleetFlagError('UNAUTHENTICATED', 'No.', {}, { cause: new Error('postgres://user:secret@db') });
    expect(JSON.stringify(format(refusal))).not.toContain('secret');
  });

  test('reveals nothing of any other error', () => {
    for (const fault of [
      new Error('column users.password_hash'),
      new TypeError('x is not a function'),
      Object.assign(new Error('P2002 on email'), { code: 'P2002' }),
    ]) {
      expect(format(fault)).toEqual({
        message: 'Something went wrong on our side.',
        path: ['flag', 0],
        extensions: { code: 'INTERNAL_SERVER_ERROR' },
      });
    }
  });

  test('reports that a store is down, without its address', () => {
    const formatted = format(connectionRefused);
    expect(formatted.extensions).toEqual({ code: 'SERVICE_UNAVAILABLE' });
    expect(JSON.stringify(formatted)).not.toContain('10.1.2.3');
  });

  test("keeps the GraphQL library's own complaint about variables", () => {
    const error = new GraphQLError('Variable "$first" got invalid value "x"', {
      extensions: { code: 'BAD_USER_INPUT', stacktrace: ['at /srv/app'] },
    });
    expect(formatForGateway(error.toJSON(), error)).toEqual({
      message: 'Variable "$first" got invalid value "x"',
      extensions: { code: 'BAD_USER_INPUT' },
    });
  });
});

test('faults and unreachable stores are logged with their request, refusals are not', () => {
  const lines: { level: number; requestId: string; err: { message: string } }[] = [];
  const logger = pino({}, { write: (line: string) => lines.push(JSON.parse(line) as (typeof lines)[number]) });
  logFaults(
    [located(badInput('key', 'no')), located(new Error('boom')), located(connectionRefused)],
    'request-1',
    logger,
  );
  expect(lines.map(({ level, requestId, err }) => [level, requestId, err.message])).toEqual([
    [50, 'request-1', 'boom'],
    [40, 'request-1', 'The database is not available; a retry is safe.: connect ECONNREFUSED 10.1.2.3:5432'],
  ]);
});
