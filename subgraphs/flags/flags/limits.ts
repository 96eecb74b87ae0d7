/**
 * The limits of an environment's content, so that every vehicle can store it. Source: design.md, "Trust in what a
 * vehicle applies"; database.md, section 3 (100 flags for each vehicle).
 */
import { isKilled } from '../../../core/evaluation/evaluate.ts';
import { FleetFlagError } from '../../../core/errors.ts';
import type { Transaction } from '../../shared/postgres/transaction.ts';
import type { Flag } from './flag.ts';
import { definitionIn } from '../signing/signing.ts';
import { environmentLoad } from './flag-store.ts';

/** The most living flags in one environment, enabled or not: each is a row in every vehicle. */
export const MAX_FLAGS = 100;
/** The most bytes of all living flags' signed definitions in one environment: 1.5 MB. */
export const MAX_DEFINITION_BYTES = 1_572_864;

/**
 * Counts the bytes of people's content in the signed definition. A longer revision number, or `false` for `true`, does
 * not count as growth; otherwise an environment at its limit could not be switched off.
 */
function contentBytes({ signedDefinition }: Flag): number {
  const { rules, ...flag } = definitionIn(signedDefinition);
  return Buffer.byteLength(
    JSON.stringify({ ...flag, revision: 0, enabled: true, rules: rules.map((rule) => ({ ...rule, enabled: true })) }),
  );
}

/**
 * Refuses a change that makes `after.environment` exceed what vehicles can store. Call it in the change's transaction,
 * under the environment's lock, when `after` is written. A change that does not grow anything passes even above a
 * limit, and pulling a kill switch always passes.
 *
 * @param before null for a new flag
 * @throws FleetFlagError LIMIT_EXCEEDED with `details.limit`: 100 flags or 1,572,864 bytes
 */
export async function checkLimits(tx: Transaction, before: Flag | null, after: Flag): Promise<void> {
  if (after.archivedAt !== null) return;
  if (before !== null && !isKilled(before.rules) && isKilled(after.rules)) return;
  const arrives = before === null || before.environment !== after.environment;
  if (!arrives && contentBytes(after) <= contentBytes(before)) return;
  const { flags, bytes } = await environmentLoad(tx, after.environment);
  if (arrives && flags > MAX_FLAGS) {
    throw new FleetFlagError(
      'LIMIT_EXCEEDED',
      `${after.environment} has ${MAX_FLAGS} flags, the most that vehicles can store; archive one first, or move one to another environment.`,
      {
        limit: MAX_FLAGS,
      },
    );
  }
  if (bytes > MAX_DEFINITION_BYTES) {
    throw new FleetFlagError(
      'LIMIT_EXCEEDED',
      `The signed definitions of ${after.environment} would have ${bytes} bytes; vehicles can store ${MAX_DEFINITION_BYTES}.`,
      {
        limit: MAX_DEFINITION_BYTES,
      },
    );
  }
}
