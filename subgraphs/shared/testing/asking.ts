/** Runs operations on a subgraph as its gateway would, for tests. */
import { randomUUID } from 'node:crypto';
import { pino } from 'pino';
import type { Caller, CallerIdentity, Role } from '../../../core/access/caller.ts';
import type { SubgraphErrorJson } from '../../../core/wire/subgraph/subgraph.ts';
import { connectInProcess } from '../subgraph/in-process-connection.ts';
import type { Subgraph } from '../subgraph/subgraph.ts';
import { strayFaultPaths } from './fault-path.ts';

/** A logger that writes nothing. */
export const silent = pino({ level: 'silent' });

/** The anonymous caller. */
export const ANONYMOUS: Caller = { kind: 'anonymous' };
/** Gives a user as caller. */
export const user = (role: Role, userId: string | null = null, sessionKey: string | null = null): Caller => ({
  kind: 'user',
  role,
  userId,
  sessionKey,
});

/** Gives a caller's identity with a made-up origin. */
export function identityOf(caller: Caller, origin: Partial<CallerIdentity['origin']> = {}): CallerIdentity {
  return { caller, origin: { ipAddress: '192.0.2.7', userAgent: 'test/1.0', requestId: randomUUID(), ...origin } };
}

/** A subgraph's answer. */
export interface DataOrErrors<Data = Record<string, unknown>> {
  /** The type is the test's own claim; null when everything failed. */
  readonly data: Data;
  readonly errors: readonly SubgraphErrorJson[];
}

/** Runs an operation as a caller, who is anonymous by default. */
export type Ask = <Data = Record<string, unknown>>(
  caller: Caller | CallerIdentity,
  query: string,
  variables?: Record<string, unknown>,
) => Promise<DataOrErrors<Data>>;

/** Creates a function that runs operations on `subgraph`, each as the given caller. */
export function asking(subgraph: Subgraph): Ask {
  const connection = connectInProcess(subgraph, async () => true);
  return async <Data>(caller: Caller | CallerIdentity, query: string, variables?: Record<string, unknown>) => {
    const identity = 'origin' in caller ? caller : identityOf(caller);
    const { data = null, errors = [] } = await connection.execute({ query, variables, identity });
    // Every test of a refusal also tests its path: clients must find the fault in their own input.
    const stray = strayFaultPaths(subgraph.schema, query, errors);
    if (stray.length > 0) throw new Error(`extensions.field names no argument of ${query}: ${stray.join(', ')}`);
    // As JSON, because that is what a gateway receives.
    return JSON.parse(JSON.stringify({ data, errors })) as DataOrErrors<Data>;
  };
}

/** Gives the first error's code and field, which identify a refusal. */
export function refusal({ errors }: Pick<DataOrErrors, 'errors'>): { code: unknown; field?: unknown } | null {
  const [error] = errors;
  if (error === undefined) return null;
  const { code, field } = error.extensions ?? {};
  return { code, ...(field !== undefined && { field }) };
}
