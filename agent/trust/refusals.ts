/**
 * Refusals: the reasons for which the agent does not apply data, counted for the status.
 */

export const REFUSAL_REASONS = {
  malformed: 'what arrived does not have the expected form',
  'unknown-key': 'signed under a key that is not pinned',
  signature: 'the signature does not match',
  'wrong-type': 'signed for another purpose',
  'wrong-environment': 'made for another environment',
  'wrong-vehicle': 'made for another vehicle',
  'wrong-question': 'an answer to another question than this one: a replay',
  'wrong-flag': 'the envelope names another flag or revision than what is signed',
  'revision-below-own': 'older than what this vehicle already has: a restored server, or an attack',
  incomplete:
    'what arrived, or what is held, is not the set of flags that the control plane has signed: something was left out or added on the way',
  'not-servable':
    'its signature is right, but this version of the agent cannot serve it; what was there before goes on',
  'proof-not-newer': 'a proof that is older than the last one',
  'no-fresh-proof':
    'the answer proves nothing of now: the control plane cannot read its database, its clock was set back, or an old answer came again',
  'proof-out-of-time':
    "a proof from a time that is more than a day from this vehicle's: one of the two clocks is wrong, or it is a replay",
  'stored-flag': 'a flag in the file that no longer verifies, or is missing',
} as const;
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
export function refusalOf(error: unknown, subject: string): Refusal {
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
