/**
 * How verified news becomes the vehicle's next state: only forward, never past what is missing. Pure.
 */
import { DEFAULT_TTL_SECONDS } from '../../core/protocol/definition.ts';
import type { HeldFlag, VehicleState, VerifiedStatement } from '../state.ts';
import { Refusal } from '../trust/refusals.ts';
import type { VerifiedFlag } from '../trust/verification.ts';

/** How far a statement may be ahead of the vehicle's clock, in seconds: vehicles' clocks drift, a day is no drift. */
const MAX_CLOCK_LEAD_SECONDS = 86_400;

/** A sync answer after verification. */
export interface VerifiedSync {
  /** What was asked for; 0 asked for everything. */
  readonly since: number;
  readonly revision: number;
  readonly full: boolean;
  readonly flags: readonly VerifiedFlag[];
  /** Entries that did not verify, as their unsigned envelopes name them. */
  readonly refused: readonly { readonly key: string; readonly revision: number }[];
  /** Null where it did not verify: nothing then vouches for `revision`. */
  readonly statement: VerifiedStatement | null;
}

/**
 * The state after a sync. Every verified flag is applied (a kill switch does not wait for its broken neighbour), and
 * the revision stops before the first refused one, so that it is asked for again.
 *
 * @param now Unix seconds
 */
export function applySync(state: VehicleState, sync: VerifiedSync, now: number): VehicleState {
  const flags = new Map(state.flags);
  const removedAhead = new Map(state.removedAhead);
  for (const flag of sync.flags) {
    // What is not newer than what was asked for can only be a replay: it would bring removed flags back.
    if (flag.revision > sync.since) place(flags, removedAhead, flag, state.statement);
  }
  if (sync.statement === null) return { ...state, flags, removedAhead };

  if (sync.full && sync.since === 0) {
    const listed = new Set([...sync.flags, ...sync.refused].map(({ key }) => key));
    for (const [key, held] of flags) if (!listed.has(key) && held.revision <= sync.revision) flags.delete(key);
  }
  const proven = Math.min(sync.revision, sync.statement.revision, ...sync.refused.map(({ revision }) => revision - 1));
  const forward = proven >= state.revision;
  const next: VehicleState = {
    ...state,
    flags,
    removedAhead,
    revision: forward ? proven : state.revision,
    complete: state.complete || (forward && sync.since === 0),
    lastSyncAt: now,
    syncCount: state.syncCount + 1,
  };
  return withStatement(next, sync.statement, now, new Set(sync.refused.map(({ key }) => key)));
}

/**
 * The state after one change of the stream.
 *
 * @param ahead true where changes between are still missing: the definition counts (it is signed and newer), the
 * revision stays, and so does the age of all flags
 * @param now Unix seconds
 */
export function applyChange(state: VehicleState, flag: VerifiedFlag, statement: VerifiedStatement | null, ahead: boolean, now: number): VehicleState {
  if (flag.revision <= state.revision) return state;
  const flags = new Map(state.flags);
  const removedAhead = new Map(state.removedAhead);
  place(flags, removedAhead, flag, state.statement);
  if (ahead) return { ...state, flags, removedAhead };
  const next: VehicleState = { ...state, flags, removedAhead, revision: flag.revision };
  return withStatement(next, statement, now, new Set());
}

/**
 * Why a verified statement does not prove that the vehicle is up to date; null where it does, or where it is as
 * old as the last one and so proves nothing new.
 *
 * @param now Unix seconds
 */
export function statementFault(state: VehicleState, statement: VerifiedStatement, now: number): Refusal | null {
  if (statement.revision < state.revision) return new Refusal('revision-below-own', 'statement');
  if (statement.issuedAt > now + MAX_CLOCK_LEAD_SECONDS) return new Refusal('statement-from-the-future', 'statement');
  if (statement.issuedAt < (state.statement?.issuedAt ?? 0)) return new Refusal('statement-not-newer', 'statement');
  return null;
}

/** Whether a flag is older than it may be. A clock set back does not make it younger. `now` is in Unix seconds. */
export function isStale(flag: HeldFlag, state: VehicleState, now: number): boolean {
  const latestKnownTime = Math.max(now, state.statement?.issuedAt ?? 0);
  return latestKnownTime - flag.cachedAt > flag.ttlSeconds;
}

function place(flags: Map<string, HeldFlag>, removedAhead: Map<string, number>, flag: VerifiedFlag, statement: VerifiedStatement | null): void {
  const { key, revision, jws, definition } = flag;
  const held = flags.get(key);
  if (revision < Math.max(held?.revision ?? 0, removedAhead.get(key) ?? 0)) return;
  if (definition === null) {
    flags.delete(key);
    removedAhead.set(key, revision);
    return;
  }
  if (revision === removedAhead.get(key)) return;
  removedAhead.delete(key);
  flags.set(key, { key, revision, definition, jws, cachedAt: held?.cachedAt ?? statement?.issuedAt ?? 0, ttlSeconds: DEFAULT_TTL_SECONDS });
}

/** Moves the age of all flags but `except` to the statement's time, if it is newer than the last; drops tombstones that the revision covers. */
function withStatement(state: VehicleState, statement: VerifiedStatement | null, now: number, except: ReadonlySet<string>): VehicleState {
  const removedAhead = new Map([...state.removedAhead].filter(([, revision]) => revision > state.revision));
  if (statement === null || statementFault(state, statement, now) !== null) return { ...state, removedAhead };
  const flags = new Map(
    [...state.flags].map(([key, flag]) => [key, except.has(key) ? flag : { ...flag, cachedAt: Math.max(flag.cachedAt, statement.issuedAt) }]),
  );
  return { ...state, removedAhead, flags, statement };
}
