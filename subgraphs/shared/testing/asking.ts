/** Asking a subgraph as its gateway would, in tests. */
import { randomUUID } from 'node:crypto';
import { pino } from 'pino';
import type { Caller, CallerIdentity, Role } from '../../../core/access/caller.ts';
import type { SubgraphErrorJson } from '../../../core/wire/subgraph.ts';
import { connectInProcess } from '../subgraph/in-process-connection.ts';
import type { Subgraph } from '../subgraph/subgraph.ts';
import { strayFaultPaths } from './fault-path.ts';

export const silent = pino({ level: 'silent' });

export const ANONYMOUS: Caller = { kind: 'anonymous' };
export const user = (role: Role, userId: string | null = null, sessionKey: string | null = null): Caller => ({
  kind: 'user',
  role,
  userId,
  sessionKey,
});

export function identityOf(caller: Caller, origin: Partial<CallerIdentity['origin']> = {}): CallerIdentity {
  return { caller, origin: { ipAddress: '192.0.2.7', userAgent: 'test/1.0', requestId: randomUUID(), ...origin } };
}

export interface Answer<Data = Record<string, unknown>> {
  /** As the test says that it will be; null where all of it failed. */
  readonly data: Data;
  readonly errors: readonly SubgraphErrorJson[];
}

export type Ask = <Data = Record<string, unknown>>(
  caller: Caller | CallerIdentity,
  query: string,
  variables?: Record<string, unknown>,
) => Promise<Answer<Data>>;

/** A function that runs operations on `subgraph`, each as the caller it is given. */
export function asking(subgraph: Subgraph): Ask {
  const connection = connectInProcess(subgraph, async () => true);
  return async <Data>(caller: Caller | CallerIdentity, query: string, variables?: Record<string, unknown>) => {
    const identity = 'origin' in caller ? caller : identityOf(caller);
    const { data = null, errors = [] } = await connection.execute({ query, variables, identity });
    // Every test of a refusal is one of this, too: a client is to find the fault in what it has sent.
    const stray = strayFaultPaths(subgraph.schema, query, errors);
    if (stray.length > 0) throw new Error(`extensions.field names no argument of ${query}: ${stray.join(', ')}`);
    // As JSON, because that is what a gateway sees.
    return JSON.parse(JSON.stringify({ data, errors })) as Answer<Data>;
  };
}

/** The first error's code and field: what a refusal is recognised by. */
export function refusal({ errors }: Pick<Answer, 'errors'>): { code: unknown; field?: unknown } | null {
  const [error] = errors;
  if (error === undefined) return null;
  const { code, field } = error.extensions ?? {};
  return { code, ...(field !== undefined && { field }) };
}
