/**
 * The history of guards, for people: looks that are kept in the table rollout_looks, of which this subgraph alone
 * knows. A guard looks every few seconds for up to a year, so most looks are not kept.
 */
import type { Prisma } from '../../../prisma/generated/client.ts';
import type { Reader, Transaction } from '../../shared/postgres/transaction.ts';
import { GUARD_VERDICTS, type GuardVerdict } from '../../../core/rollouts/rollout-guard.ts';
import { is } from '../../../core/json/shape.ts';
import { oneOf } from '../../shared/postgres/column-values.ts';
import { rowsOf } from '../../shared/postgres/rows.ts';
import type { GuardJudgement } from './guard-verdict.ts';
import type { WatchedRollout } from './guarded-rollouts.ts';

/** The most looks of a rollout that are kept; at this number every second one is deleted. */
export const MAX_LOOKS = 1_000;
/** The least milliseconds between two looks that found the same. */
const SPACING_MS = 60_000;

/** The result of one look of a guard. */
export interface GuardLook {
  readonly rolloutId: string;
  readonly at: Date;
  readonly verdict: GuardVerdict;
  readonly controlVehicles: number;
  readonly treatmentVehicles: number;
  readonly controlMean: number | null;
  readonly treatmentMean: number | null;
  readonly worsePercent: number | null;
  readonly worsePercentAtLeast: number | null;
}

/** The looks that are kept already. */
interface Kept {
  readonly first: Date;
  readonly last: Date;
  readonly watch: number;
  readonly verdict: string;
}

/**
 * Checks whether a look is worth keeping: the first one, one with another verdict or after another step, and one that
 * is as far from the last as kept looks are from each other on average, when half of `MAX_LOOKS` are kept.
 */
export function isWorthKeeping(
  { watch, verdict, at }: { readonly watch: number; readonly verdict: string; readonly at: Date },
  kept: Kept | null,
): boolean {
  if (kept === null || kept.watch !== watch || kept.verdict !== verdict) return true;
  const span = kept.last.getTime() - kept.first.getTime();
  return at.getTime() - kept.last.getTime() >= Math.max(SPACING_MS, span / (MAX_LOOKS / 2));
}

/** Keeps a look, if it is worth it. The caller holds the rollout's advisory lock. */
export async function keepLook(
  tx: Transaction,
  { id, guard: { watch }, now: at }: WatchedRollout,
  { verdict, figures }: GuardJudgement,
): Promise<void> {
  const [kept] = await rowsOf(tx, {
    count: is.number,
    first: is.date,
    last: is.date,
    watch: is.number,
    verdict: is.string,
  })`
    SELECT (SELECT count(*)::int FROM rollout_looks WHERE rollout_id = ${id}::uuid) AS count,
           (SELECT min(at) FROM rollout_looks WHERE rollout_id = ${id}::uuid) AS first, at AS last, watch, verdict
    FROM rollout_looks WHERE rollout_id = ${id}::uuid ORDER BY at DESC LIMIT 1`;
  if (!isWorthKeeping({ watch, verdict, at }, kept ?? null)) return;
  // The first one stays, so that the history begins where the watch began.
  if ((kept?.count ?? 0) >= MAX_LOOKS)
    await tx.$executeRaw`
      DELETE FROM rollout_looks WHERE rollout_id = ${id}::uuid AND at IN (
        SELECT at FROM (SELECT at, row_number() OVER (ORDER BY at) AS place FROM rollout_looks WHERE rollout_id = ${id}::uuid) AS placed
        WHERE place % 2 = 0)`;
  const { controlVehicles, treatmentVehicles, controlMean, treatmentMean, worsePercent, worsePercentAtLeast } = figures;
  await tx.rolloutLook.create({
    data: {
      rolloutId: id,
      at,
      watch,
      verdict,
      controlVehicles,
      treatmentVehicles,
      controlMean,
      treatmentMean,
      worsePercent,
      worsePercentAtLeast,
    },
  });
}

const readVerdict = oneOf('rollout_looks.verdict', GUARD_VERDICTS);

const toLook = ({ watch: _, verdict, ...look }: Prisma.RolloutLookGetPayload<object>): GuardLook => ({
  ...look,
  verdict: readVerdict(verdict),
});

/** Gives the kept looks of some rollouts, oldest first; at most 1,000 of each. */
export async function findLooks(db: Reader, rolloutIds: readonly string[]): Promise<GuardLook[]> {
  const rows = await db.rolloutLook.findMany({
    where: { rolloutId: { in: [...rolloutIds] } },
    orderBy: [{ rolloutId: 'asc' }, { at: 'asc' }],
  });
  return rows.map(toLook);
}
