import { FleetFlagError } from '../../../core/errors.ts';
import { membersOf } from '../../../core/json/json-value.ts';

/**
 * Prisma's codes for a server that is unreachable or overloaded: P1001 unreachable, P1002 timed out, P1008 operation
 * timed out, P1017 connection closed, P2024 no connection from the pool in time, P2028 transaction not started in time
 * or lost with its connection, P2037 too many connections. Source:
 * https://www.prisma.io/docs/orm/reference/error-reference
 */
const PRISMA_CODES = new Set(['P1001', 'P1002', 'P1008', 'P1017', 'P2024', 'P2028', 'P2037']);

/**
 * SQLSTATEs with the same meaning: class 08 connection exceptions, 53 insufficient resources, 57P01–57P05 server
 * shutting down, starting up or dropping the session, 57014 statement timeout, 25006 read-only server (a replica that
 * stands in for the primary), 25P03 session ended while idle in a transaction. Source: PostgreSQL 15 manual, appendix A
 */
const SQL_STATES = /^(08\w{3}|53\w{3}|57P0[1-5]|57014|25006|25P03)$/;

/** Node's codes for a connection that failed. */
const SOCKET_CODES = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EPIPE',
  'ETIMEDOUT',
  'EHOSTUNREACH',
  'ENETUNREACH',
]);

/** Messages of driver errors that have no code. */
const MESSAGES =
  /Connection terminated|timeout exceeded when trying to connect|^timeout expired$|Client has encountered a connection error|Cannot use a pool after calling end|terminating connection|the database system is/i;

/** Kinds of `MappedError` in @prisma/driver-adapter-utils. */
const ADAPTER_KINDS = new Set([
  'DatabaseNotReachable',
  'ConnectionClosed',
  'SocketTimeout',
  'TooManyConnections',
  'TlsConnectionError',
]);

/**
 * Converts an error that means that PostgreSQL cannot be reached into SERVICE_UNAVAILABLE, and gives any other error as
 * it is.
 *
 * Only the place where a subgraph turns a resolver's error into an answer calls it; stores and services let Prisma's
 * errors pass.
 */
export function asServiceError(error: unknown): unknown {
  if (error instanceof FleetFlagError || !isUnavailable(error, 0)) return error;
  return new FleetFlagError(
    'SERVICE_UNAVAILABLE',
    'The database is not available; a retry is safe.',
    {},
    { cause: error },
  );
}

function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

function isUnavailable(error: unknown, depth: number): boolean {
  if (typeof error !== 'object' || error === null || depth > 5) return false;
  const { code, originalCode, syscall, clientVersion, kind, message, cause, meta, errors } = membersOf(error);
  for (const value of [code, originalCode]) {
    if (typeof value === 'string' && (PRISMA_CODES.has(value) || SOCKET_CODES.has(value) || SQL_STATES.test(value)))
      return true;
  }
  // The socket of a server that is not running, reported by the driver or passed on by Prisma. ENOENT for any other
  // file means something else.
  if (code === 'ENOENT' && (syscall === 'connect' || clientVersion !== undefined)) return true;
  if (typeof kind === 'string' && ADAPTER_KINDS.has(kind)) return true;
  // Messages about a violated unique constraint or a wrong argument quote user input, so only errors without a code are
  // matched by message.
  if (code === undefined && typeof message === 'string' && MESSAGES.test(message)) return true;
  const nested = [cause, meta, membersOf(meta)['driverAdapterError'], ...listOf(errors)];
  return nested.some((inner) => isUnavailable(inner, depth + 1));
}
