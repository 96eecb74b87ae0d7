import { canonicalJson } from '../../core/json/canonical-json.ts';
import { returnedDefinition } from '../../core/activation/last-known-good.ts';
import type { HeldFlag, VerifiedDefinition } from '../state.ts';

/** Gives the signed definition from which a flag is served: its own, or the former one where that cannot be served. */
export function servedSignature({ held, former }: HeldFlag): VerifiedDefinition {
  return held.fault === null || former === null ? held : former.signed;
}

/**
 * Gives a flag that goes back to its last known good.
 *
 * @param good the flag as it was when that was active
 * @param signed the definition that is left
 * @param isNext whether its content in this vehicle is the new one of a release
 */
export function returnedFlag(good: HeldFlag, signed: VerifiedDefinition, isNext: boolean): HeldFlag {
  const from = { good, signed, isNext };
  if (good.served === null || signed.definition === null) return { ...good, from };
  const { revision, id } = good.served;
  const definition = returnedDefinition(good.served.definition, signed.definition, isNext);
  const { requires, excludes, activation, killActivation } = definition;
  // A new signature of what is left is no change.
  const by = canonicalJson([requires ?? [], excludes ?? [], activation ?? null, killActivation ?? null]);
  return { ...good, from, served: { definition, revision, id: `returned ${id} ${by}` } };
}
