/**
 * Applies verified changes to the vehicle's state. A set is applied completely or not at all; only a change that stops
 * a flag takes effect before its set is complete. Pure. Source: design.md, "Trust in what a vehicle applies".
 */
import { DEFAULT_TTL_SECONDS } from '../../core/wire/vehicle/definition.ts';
import { setDigest } from '../../core/wire/vehicle/proof.ts';
import type {
  Assignment,
  FormerDefinition,
  HeldFlag,
  VerifiedDefinition,
  VehicleState,
  VerifiedProof,
} from '../state.ts';
import { boundPartition, concerns, isIn } from '../trust/binding.ts';
import { formerOf, serve } from '../trust/servable.ts';
import type { VerifiedFlag } from '../trust/verification.ts';

/** The flags of a partition, by key. */
export type FlagSet = ReadonlyMap<string, VerifiedDefinition>;

/** Gives the set that the vehicle holds. */
export function heldSet(state: VehicleState): FlagSet {
  return new Map([...state.flags].map(([key, { held }]) => [key, held]));
}

/**
 * Gives the set that results from `base` and the changes up to `revision`. The last of several changes of a flag
 * counts. A change that is not newer than the flag in `base` is ignored.
 */
export function withChanges(base: FlagSet, changes: Iterable<VerifiedFlag>, revision: number): FlagSet {
  const last = new Map<string, VerifiedFlag>();
  for (const change of changes) {
    if (
      change.revision <= revision &&
      change.revision > (last.get(change.key)?.revision ?? base.get(change.key)?.revision ?? 0)
    )
      last.set(change.key, change);
  }
  const flags = new Map(base);
  for (const [key, { signed }] of last) {
    if (signed === null) flags.delete(key);
    else flags.set(key, signed);
  }
  return flags;
}

/** Says whether `flags` are the set that `proof` names. */
export function isSetOf(proof: VerifiedProof, flags: FlagSet): boolean {
  return proof.set === setDigest(Array.from(flags, ([key, { revision, digest }]) => ({ key, revision, digest })));
}

/** Gives the Unix seconds of the last proof from which the flags' age counts; 0 before the first. */
export function lastContact(state: VehicleState): number {
  return Math.max(0, ...Array.from(state.flags.values(), ({ cachedAt }) => cachedAt));
}

/**
 * Gives the state that holds `flags`, the set of `proof`. If `fresh`, the age of all flags counts from the proof.
 *
 * @param assignment the partition whose set it is
 */
export function adopt(
  state: VehicleState,
  flags: FlagSet,
  proof: VerifiedProof,
  fresh: boolean,
  assignment: Assignment | null,
): VehicleState {
  const before = lastContact(state);
  const partition = boundPartition({ assignment });
  const next = new Map<string, HeldFlag>();
  for (const [key, signed] of flags) {
    const known = state.flags.get(key);
    const flag = known === undefined ? undefined : inPartition(known, partition);
    const cachedAt = fresh ? proof.issuedAt : (flag?.cachedAt ?? before);
    next.set(key, { ...advanced(key, flag, signed, proof.revision), cachedAt });
  }
  return { ...state, assignment, revision: proof.revision, complete: true, proof, flags: next };
}

/** Gives `flag` without the definitions that do not belong to a partition; undefined where its own does not. */
function inPartition(flag: HeldFlag, partition: string | null): HeldFlag | undefined {
  const { key, held, former, ahead, cachedAt, ttlSeconds } = flag;
  if (!isIn(held, partition)) return undefined;
  const keepsFormer = former === null || isIn(former.signed, partition);
  const keepsAhead = ahead === null || isIn(ahead, partition);
  if (keepsFormer && keepsAhead) return flag;
  return heldFlag(key, held, keepsFormer ? former : null, keepsAhead ? ahead : null, cachedAt, ttlSeconds);
}

/** Gives `flag` with `signed` as its held definition at `revision`. */
function advanced(key: string, flag: HeldFlag | undefined, signed: VerifiedDefinition, revision: number): HeldFlag {
  if (flag === undefined) return heldFlag(key, signed, null, null, 0, DEFAULT_TTL_SECONDS);
  const ahead = flag.ahead !== null && flag.ahead.revision > revision ? flag.ahead : null;
  if (signed.jws === flag.held.jws)
    return ahead === flag.ahead ? flag : heldFlag(key, flag.held, flag.former, ahead, flag.cachedAt, flag.ttlSeconds);
  const held = formerOf(flag.held, flag.former);
  const former = flag.ahead === null || flag.ahead.jws === signed.jws ? held : formerOf(flag.ahead, held);
  return heldFlag(key, signed, former, ahead, flag.cachedAt, flag.ttlSeconds);
}

/** Makes a held flag and computes the definition that it serves. */
export function heldFlag(
  key: string,
  held: VerifiedDefinition,
  former: FormerDefinition | null,
  ahead: VerifiedDefinition | null,
  cachedAt: number,
  ttlSeconds: number,
): HeldFlag {
  const before = held.fault === null ? null : former;
  const served = ahead === null ? serve(held, before) : serve(ahead, formerOf(held, before));
  return { key, held, former: before, ahead, served, cachedAt, ttlSeconds };
}

/**
 * Gives the state in which every kill switch and disabling among `changes` takes effect. Each is signed itself, so the
 * rest of its set may be missing.
 */
export function withStops(state: VehicleState, changes: Iterable<VerifiedFlag>): VehicleState {
  let flags: Map<string, HeldFlag> | null = null;
  const partition = boundPartition(state);
  for (const change of changes) {
    const { key, revision, signed } = change;
    const flag = (flags ?? state.flags).get(key);
    if (signed?.settled !== true || flag === undefined || revision <= state.revision) continue;
    if (!concerns(change, partition)) continue;
    const { settled, revision: known } = flag.ahead ?? flag.held;
    if (settled || revision <= known) continue;
    flags ??= new Map(state.flags);
    flags.set(key, heldFlag(key, flag.held, flag.former, signed, flag.cachedAt, flag.ttlSeconds));
  }
  return flags === null ? state : { ...state, flags };
}
