/**
 * Refusals: the reasons for which the agent does not apply data, counted for the status.
 */

const REFUSAL_REASONS = {
  malformed: 'it does not have the expected form',
  'unknown-key': 'it is signed with a key that is not pinned',
  signature: 'its signature does not match',
  'wrong-type': 'it is signed for another purpose',
  'wrong-environment': 'it is for another environment',
  'wrong-vehicle': 'it is for another vehicle',
  'wrong-partition': 'it is for another part of the environment than the one that is proven to be of this vehicle',
  'wrong-question': 'it answers another request than this one: a replay',
  'wrong-flag': 'the flag or revision beside the signature is not the signed one',
  'revision-below-own': 'its revision is older than what this vehicle already has: a restored backup, or an attack',
  'revision-below-backup':
    'it is later than the sync that this vehicle has applied, which stays in effect: a restored control plane, or an attack',
  incomplete:
    'the flags of this vehicle are not the set that the control plane has signed: some were left out or added on the way',
  'not-servable':
    'its signature is right, but this version of the agent cannot evaluate it; the previous definition stays in use',
  'outside-contract':
    'its signature is right, but a value in it is outside the value contract of its flag; the previous definition stays in use',
  'proof-not-newer': 'it is older than the last proof',
  'no-fresh-proof':
    'it does not prove the current state: the control plane cannot read its database, its clock was set back, or an old answer was replayed',
  'proof-out-of-time':
    "its time is more than a day from this vehicle's clock: one of the two clocks is wrong, or it is a replay",
  'stored-flag': 'it is missing in the stored database, or no longer verifies',
} as const;
/** The reason of a refusal, by which refusals are counted. */
export type RefusalReason = keyof typeof REFUSAL_REASONS;

/** The refusal of data that was not applied, with its reason. */
export class Refusal extends Error {
  override readonly name = 'Refusal';

  constructor(
    readonly reason: RefusalReason,
    /** The name of the refused data in messages: a flag's key, "sync", "statement". */
    readonly subject: string,
    options?: { cause?: unknown },
  ) {
    super(`${subject} refused: ${REFUSAL_REASONS[reason]}`, options);
  }
}

/** Gives the refusal in `error`. Any other error means that `subject` is malformed. */
export function asRefusal(error: unknown, subject: string): Refusal {
  return error instanceof Refusal ? error : new Refusal('malformed', subject, { cause: error });
}

/** Counts refusals by reason for as long as the process lives. */
export class RefusalCounter {
  readonly #counts = new Map<RefusalReason, number>();

  add(refusal: Refusal): void {
    this.#counts.set(refusal.reason, (this.#counts.get(refusal.reason) ?? 0) + 1);
  }

  /** Gives the counts by reason, without reasons that never occurred. */
  totals(): Partial<Record<RefusalReason, number>> {
    return Object.fromEntries(this.#counts);
  }
}
