/**
 * How verified news becomes the vehicle's next state. A set is applied whole or not at all; only what stops a flag acts
 * before its set is complete. Pure. Source: design.md, "Trust in what a vehicle applies".
 */
import { DEFAULT_TTL_SECONDS } from '../../core/wire/definition.ts';
import { setDigest } from '../../core/wire/proof.ts';
import type { FormerDefinition, HeldFlag, SignedDefinition, VehicleState, VerifiedProof } from '../state.ts';
import { formerOf, serve } from '../trust/servable.ts';
import type { VerifiedFlag } from '../trust/verification.ts';

/** The flags of an environment, by key. */
export type FlagSet = ReadonlyMap<string, SignedDefinition>;

/** The set that the vehicle holds. */
export function heldSet(state: VehicleState): FlagSet {
  return new Map([...state.flags].map(([key, { held }]) => [key, held]));
}

/**
 * The set that comes of `base` and changes up to `revision`. Of several changes of a flag the last counts; what is not
 * newer than what the base has changes nothing.
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

/** Whether `flags` are what `proof` names. */
export function isSetOf(proof: VerifiedProof, flags: FlagSet): boolean {
  return proof.set === setDigest(Array.from(flags, ([key, { revision, digest }]) => ({ key, revision, digest })));
}

/** When the last proof was issued that counted for the flags' age, in Unix seconds; 0: never. */
export function lastContact(state: VehicleState): number {
  return Math.max(0, ...Array.from(state.flags.values(), ({ cachedAt }) => cachedAt));
}

/** The state that holds `flags`, the set of `proof`. `fresh`: the age of all flags counts from the proof. */
export function adopt(state: VehicleState, flags: FlagSet, proof: VerifiedProof, fresh: boolean): VehicleState {
  const before = lastContact(state);
  const next = new Map<string, HeldFlag>();
  for (const [key, signed] of flags) {
    const flag = state.flags.get(key);
    const cachedAt = fresh ? proof.issuedAt : (flag?.cachedAt ?? before);
    next.set(key, { ...advanced(key, flag, signed, proof.revision), cachedAt });
  }
  return { ...state, revision: proof.revision, complete: true, proof, flags: next };
}

/** `flag` with `signed` as what it holds at `revision`. */
function advanced(key: string, flag: HeldFlag | undefined, signed: SignedDefinition, revision: number): HeldFlag {
  if (flag === undefined) return heldFlag(key, signed, null, null, 0, DEFAULT_TTL_SECONDS);
  const ahead = flag.ahead !== null && flag.ahead.revision > revision ? flag.ahead : null;
  if (signed.jws === flag.held.jws)
    return ahead === flag.ahead ? flag : heldFlag(key, flag.held, flag.former, ahead, flag.cachedAt, flag.ttlSeconds);
  const held = formerOf(flag.held, flag.former);
  const former = flag.ahead === null || flag.ahead.jws === signed.jws ? held : formerOf(flag.ahead, held);
  return heldFlag(key, signed, former, ahead, flag.cachedAt, flag.ttlSeconds);
}

/** A flag of what is known of it. */
export function heldFlag(
  key: string,
  held: SignedDefinition,
  former: FormerDefinition | null,
  ahead: SignedDefinition | null,
  cachedAt: number,
  ttlSeconds: number,
): HeldFlag {
  const before = held.fault === null ? null : former;
  const served = ahead === null ? serve(held, before) : serve(ahead, formerOf(held, before));
  return { key, held, former: before, ahead, served, cachedAt, ttlSeconds };
}

/**
 * The state in which every kill switch and disabling among `changes` acts: by its own signature, whatever else is
 * missing.
 */
export function withStops(state: VehicleState, changes: Iterable<VerifiedFlag>): VehicleState {
  let flags: Map<string, HeldFlag> | null = null;
  for (const { key, revision, signed } of changes) {
    const flag = (flags ?? state.flags).get(key);
    if (signed?.settled !== true || flag === undefined || revision <= state.revision) continue;
    const { settled, revision: known } = flag.ahead ?? flag.held;
    if (settled || revision <= known) continue;
    flags ??= new Map(state.flags);
    flags.set(key, heldFlag(key, flag.held, flag.former, signed, flag.cachedAt, flag.ttlSeconds));
  }
  return flags === null ? state : { ...state, flags };
}
