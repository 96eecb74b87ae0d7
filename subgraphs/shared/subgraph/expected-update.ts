/** The check by which of two people who change one thing the second is refused, and sees what the first has done. */
import { FleetFlagError } from '../../../core/errors.ts';

/**
 * Checks that a thing is as the caller of its change has seen it. Call it with the thing locked, before anything is
 * written.
 *
 * @param what names the thing at the beginning of a sentence
 * @param updatedAt when the thing was last changed; null: it is gone
 * @param expectedUpdatedAt the `updatedAt` that the caller has seen; null: not compared
 * @throws CONFLICT, whose message says when it was last changed
 */
export function checkUnchangedSince(
  what: string,
  updatedAt: Date | null,
  expectedUpdatedAt: Date | null | undefined,
): void {
  if (expectedUpdatedAt == null || updatedAt?.getTime() === expectedUpdatedAt.getTime()) return;
  const seen = expectedUpdatedAt.toISOString();
  throw new FleetFlagError(
    'CONFLICT',
    updatedAt === null
      ? `${what} is gone.`
      : `${what} has changed since ${seen}; its updatedAt is ${updatedAt.toISOString()} now. Read it again.`,
  );
}
