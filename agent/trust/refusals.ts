/**
 * What the agent would not believe: one reason for each way, counted for the status.
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

/** Something that was not applied, and why. */
export class Refusal extends Error {
  override readonly name = 'Refusal';

  constructor(
    readonly reason: RefusalReason,
    /** What was refused, for a reader: a flag's key, "sync", "statement". */
    readonly subject: string,
    options?: { cause?: unknown },
  ) {
    super(`${subject} refused: ${REFUSAL_REASONS[reason]}`, options);
  }
}

/** What to report where `subject` could not be verified: the refusal itself; anything else means that it is malformed. */
export function refusalOf(error: unknown, subject: string): Refusal {
  return error instanceof Refusal ? error : new Refusal('malformed', subject, { cause: error });
}

/** Counts refusals by reason for as long as the process lives. */
export class RefusalCounter {
  readonly #counts = new Map<RefusalReason, number>();

  add(refusal: Refusal): void {
    this.#counts.set(refusal.reason, (this.#counts.get(refusal.reason) ?? 0) + 1);
  }

  /** Counts by reason; reasons that never occurred are left out. */
  totals(): Partial<Record<RefusalReason, number>> {
    return Object.fromEntries(this.#counts);
  }
}
