/**
 * Raises an environment's revision above everything its vehicles have seen. After a restore from a backup, vehicles are
 * ahead of the control plane and refuse its changes, kill switches included, because a lower revision looks like an
 * attack. Signing everything again above their revisions makes them accept it at once, and their flag sets match the
 * proof again.
 */
import { FleetFlagError, badInput } from '../../../core/errors.ts';
import type { Environment } from '../../../core/model.ts';
import type { CallerIdentity } from '../../../core/access/caller.ts';
import { isKilled } from '../../../core/evaluation/rules/kill-switch.ts';
import { readReason } from '../../../core/validation/text.ts';
import type { PrismaClient } from '../../../prisma/generated/client.ts';
import { appendAudit } from '../../shared/audit/audit-log.ts';
import { MAX_LEAD } from '../../shared/between-subgraphs/believable-revision.ts';
import { vehicleForm } from '../flags/vehicle-form.ts';
import { withSegments } from '../../shared/between-subgraphs/segments.ts';
import type { Transaction } from '../../shared/postgres/transaction.ts';
import type { Flag } from '../flags/flag.ts';
import { restartStages } from '../releases/flag-release.ts';
import { databaseClock, type Clock } from '../rollouts/database-clock.ts';
import type { Signer } from './signing.ts';
import { findLivingFlags } from '../flags/reading/flag-reads.ts';
import { lockRevision, saveSignatures, setRevision } from '../flags/flag-store.ts';
import { is } from '../../../core/json/shape.ts';
import { rowsOf } from '../../shared/postgres/rows.ts';

/**
 * The highest revision to which an environment can be raised: the API's revisions have 32 bits, and the rest must last.
 * A vehicle that reports a higher one is not believed, or one stolen token could use up all revisions.
 */
export const MAX_ADVANCE = 2_000_000_000;

/** The timeouts in milliseconds, far longer than 5,000 flags take. The environment's other changes wait meanwhile. */
const TRANSACTION = { maxWait: 5_000, timeout: 60_000 } as const;

/** The environment to raise, and how far. */
export interface AdvanceRevision {
  readonly environment: Environment;
  /**
   * A revision that vehicles may have seen, as far as the operator knows. Revisions that vehicles have reported count
   * in any case.
   */
  readonly beyond: number;
  readonly reason: string;
}

/** The outcome of raising a revision. */
export interface AdvancedRevision {
  /** The environment's revision before and after. */
  readonly from: number;
  readonly to: number;
  /** The highest revision reported by a vehicle of the environment and believed; 0 when there is none. */
  readonly reported: number;
  /**
   * The number of vehicles that report an impossible revision, or one far above the environment's and `beyond`; they
   * are not believed.
   */
  readonly unbelieved: number;
  /** The number of flags that were signed again, one revision each; the last of them has `to`. */
  readonly flags: number;
  /**
   * Keys of the flags that vehicles will serve by their rules: enabled and not killed. Flags whose kill switch was lost
   * in the restore are among them.
   */
  readonly serving: readonly string[];
}

/**
 * Raises an environment's revision above `beyond`, above the revisions that vehicles have reported and above its own,
 * and signs every living flag again above that, in one transaction with an audit row. The caller then announces the
 * environment (FLAGS_CHANGED). The stages of releases under way begin again: what vehicles have reported was about
 * revisions of the history that has ended.
 *
 * @throws BAD_USER_INPUT, also when vehicles report revisions far above the environment's and `beyond` does not decide
 * about them; CONFLICT when flags were created or removed meanwhile (run it again)
 */
export async function advanceRevision(
  prisma: PrismaClient,
  signer: Signer,
  identity: CallerIdentity,
  { environment, beyond, reason }: AdvanceRevision,
  clock: Clock = databaseClock,
): Promise<AdvancedRevision> {
  if (!Number.isSafeInteger(beyond) || beyond < 0 || beyond > MAX_ADVANCE)
    throw badInput('beyond', `A revision to go beyond must be a whole number from 0 to ${MAX_ADVANCE}.`);
  const said = readReason(reason, 'reason');
  return prisma.$transaction(async (tx) => {
    const flags = await lockLivingFlags(tx, environment);
    const from = await lockRevision(tx, environment);
    await checkNoneCameOrWent(tx, environment, flags);
    const serving = flags.filter(({ enabled, rules }) => enabled && !isKilled(rules)).map(({ key }) => key);
    const { reported, unbelieved } = await reportedRevisions(tx, environment, from, beyond);
    const start = Math.max(beyond, reported, from);
    const advanced = (await withSegments(tx, flags.map(vehicleForm))).map((flag, index) => ({
      ...flag,
      revision: start + 1 + index,
      // Nobody knows which kills and halts a restored database has lost. Vehicles keep what is in force now.
      noReturnBelow: start + 1 + index,
    }));
    // updatedAt stays: nobody has changed the flags.
    await saveSignatures(
      tx,
      await Promise.all(advanced.map(async (flag) => ({ ...flag, signedDefinition: await signer.definition(flag) }))),
    );
    await restartStages(tx, advanced, await clock(tx));
    // The revision advances even without flags, because vehicles must see one beyond theirs.
    const to = start + Math.max(1, flags.length);
    await setRevision(tx, environment, to);
    await appendAudit(tx, identity, {
      action: 'ADVANCE_REVISION',
      before: {
        environment,
        revision: from,
        flags: Object.fromEntries(flags.map(({ key, revision }) => [key, revision])),
      },
      after: {
        environment,
        revision: to,
        beyond,
        reported,
        reason: said,
        flags: Object.fromEntries(flags.map(({ key }, index) => [key, start + 1 + index])),
      },
    });
    return { from, to, reported, unbelieved, flags: flags.length, serving: serving.sort() };
  }, TRANSACTION);
}

/** Locks the flags first and then the environment, as every change of a flag does. */
async function lockLivingFlags(tx: Transaction, environment: Environment): Promise<Flag[]> {
  await tx.$executeRaw`SELECT FROM flags WHERE environment = ${environment} AND archived_at IS NULL ORDER BY id FOR UPDATE`;
  const flags = await findLivingFlags(tx, environment);
  return flags.sort((a, b) => a.revision - b.revision);
}

/**
 * Refuses to continue when the set of flags has changed since they were locked: a flag that was created while this
 * transaction waited for the environment is not locked, and a removed one is gone.
 */
async function checkNoneCameOrWent(tx: Transaction, environment: Environment, locked: readonly Flag[]): Promise<void> {
  const living = await tx.flag.findMany({ where: { environment, archivedAt: null }, select: { id: true } });
  const ids = new Set(locked.map(({ id }) => id));
  if (living.length === ids.size && living.every(({ id }) => ids.has(id))) return;
  throw new FleetFlagError(
    'CONFLICT',
    `Flags were moved to or from ${environment} meanwhile. Nothing was changed; run it again.`,
  );
}

/** The most vehicles that a refusal names, enough to find what they have in common. */
const NAMED_VEHICLES = 5;

/** Reads another subgraph's table: docs/decisions/data/reading-another-subgraphs-table.md. */
async function reportedRevisions(
  tx: Transaction,
  environment: Environment,
  from: number,
  beyond: number,
): Promise<{ reported: number; unbelieved: number }> {
  const highest = Math.min(Math.max(from + MAX_LEAD, beyond), MAX_ADVANCE);
  const far = await rowsOf(tx, { vin: is.string, revision: is.bigint })`
    SELECT vin, applied_revision AS revision FROM vehicles WHERE environment = ${environment} AND applied_revision > ${highest} AND applied_revision <= ${MAX_ADVANCE}
    ORDER BY applied_revision DESC, vin LIMIT ${NAMED_VEHICLES}`;
  // An operator who gives a revision above the environment's knows how far vehicles are, and has decided about those
  // that report more.
  if (far.length > 0 && beyond <= from) {
    throw badInput(
      'beyond',
      `Vehicles of ${environment} report revisions more than ${MAX_LEAD} above its own, ${from}, and are not believed without confirmation: ${far.map(({ vin, revision }) => `${vin} (${revision})`).join(', ')}. ` +
        `Nothing was changed. Check them: if ${far[0]?.revision} is right, go beyond it; else go beyond a lower revision above ${from}.`,
    );
  }
  const [row] = await rowsOf(tx, { reported: is.nullable(is.bigint), unbelieved: is.bigint })`
    SELECT (SELECT max(applied_revision) FROM vehicles WHERE environment = ${environment} AND applied_revision <= ${highest}) AS reported,
           (SELECT count(*) FROM vehicles WHERE environment = ${environment} AND applied_revision > ${highest}) AS unbelieved`;
  return { reported: Number(row?.reported ?? 0), unbelieved: Number(row?.unbelieved ?? 0) };
}
