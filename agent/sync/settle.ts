/**
 * Compares the set that a vehicle would have with the set that a proof names, and gives the resulting state and whether
 * anything is missing.
 */
import type { Assignment, VehicleState, VerifiedProof } from '../state.ts';
import type { Freshness, TimeJudgement } from '../trust/freshness.ts';
import type { VerifiedFlag } from '../trust/verification.ts';
import { adopt, heldSet, isSetOf, lastContact, withChanges, withStops, type FlagSet } from './apply.ts';

/**
 * The result of a comparison. `held`: the vehicle has the proof's set. `ahead`: the proof is for a later revision,
 * whose set is not complete. `differs`: it is for the vehicle's own revision and names another set. `below`: it is for
 * an earlier revision.
 */
export type SetOutcome = 'held' | 'ahead' | 'differs' | 'below';

/** The result of applying changes and comparing them with a proof. */
export interface Settled {
  readonly state: VehicleState;
  readonly outcome: SetOutcome;
  /** The proof's statement about time; null where its set is not held, because then it does not count. */
  readonly judgement: TimeJudgement | null;
}

const NOTHING: FlagSet = new Map();

/**
 * Applies `changes` and compares the result with `proof`.
 *
 * @param changes the verified changes, in the order of their revisions
 * @param mayBeWhole whether `changes` may be the whole set, so that flags without one are removed
 * @param assignment the partition whose set `proof` names; the present one unless `proof` assigns another
 */
export function settle(
  state: VehicleState,
  changes: readonly VerifiedFlag[],
  proof: VerifiedProof,
  mayBeWhole: boolean,
  freshness: Freshness,
  assignment: Assignment | null = state.assignment,
): Settled {
  const stopped = withStops(state, changes);
  if (proof.revision < state.revision) return { state: stopped, outcome: 'below', judgement: null };
  const newest = lastContact(state);
  const set = setOf(state, changes, proof, mayBeWhole && (!state.complete || proof.issuedAt >= newest));
  if (set === null)
    return { state: stopped, outcome: proof.revision === state.revision ? 'differs' : 'ahead', judgement: null };
  const judgement = freshness.judge(proof, newest);
  if (judgement === 'fresh') freshness.accept(proof);
  // An older proof of the same set changes nothing but the assignment.
  if (judgement !== 'fresh' && state.complete && state.proof?.set === proof.set && proof.revision === state.revision)
    return { state: withAssignment(stopped, assignment), outcome: 'held', judgement };
  return { state: adopt(stopped, set, proof, judgement === 'fresh', assignment), outcome: 'held', judgement };
}

function withAssignment(state: VehicleState, assignment: Assignment | null): VehicleState {
  return state.assignment === assignment ? state : { ...state, assignment };
}

/** Gives the set of `proof` where it results from the held set and `changes`, or from `changes` alone; else null. */
function setOf(
  state: VehicleState,
  changes: readonly VerifiedFlag[],
  proof: VerifiedProof,
  mayBeWhole: boolean,
): FlagSet | null {
  if (mayBeWhole) {
    const whole = withChanges(NOTHING, changes, proof.revision);
    if (isSetOf(proof, whole)) return whole;
  }
  const onward = withChanges(heldSet(state), changes, proof.revision);
  return isSetOf(proof, onward) ? onward : null;
}
