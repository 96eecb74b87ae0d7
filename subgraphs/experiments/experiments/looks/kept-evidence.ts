/**
 * The evidence that the looks of an experiment have gathered, kept in a row for each metric. The first range stays, and
 * what was excluded stays excluded, in whatever order looks are kept.
 */
import { parseJson } from '../../../../core/json/json-value.ts';
import type { PrismaClient } from '../../../../prisma/generated/client.ts';
import { jsonColumn } from '../../../shared/postgres/column-values.ts';
import type { Reader, Transaction } from '../../../shared/postgres/transaction.ts';
import { isSameCalibration, type Calibration } from '../../settled/calibration.ts';

/** The row of a metric, with the ways to read and write its state. */
export interface KeptRow<State> {
  read(db: Reader): Promise<State>;
  /** Locks the row until the transaction ends. */
  lock(tx: Transaction): Promise<unknown>;
  write(tx: Transaction, columns: KeptColumns): Promise<unknown>;
  /** The range that an earlier look has fixed; null before. */
  rangeOf(state: State): Calibration | null;
}

/** The columns of a row that change. */
export interface KeptColumns {
  readonly state: ReturnType<typeof jsonColumn>;
  readonly updatedAt: Date;
}

/** Gives the columns of a state, as of now. */
export const columnsOf = (state: object): KeptColumns => ({
  state: jsonColumn(parseJson(JSON.stringify(state))),
  updatedAt: new Date(),
});

/**
 * Adds to a metric's state what a look has found. The lock lasts for a moment and not as long as the look, which asks
 * the metrics store: those who wait for it hold a connection each, and a look needs one itself.
 *
 * @param range the range with which the look was taken; null where it had none
 * @param joined gives the state of earlier looks with this one
 * @param isWritten whether the state is written; an analysis after the end only shows it
 * @returns the state of all looks together; null where another look has fixed another range, so that this one has to be
 * taken again
 */
export async function joinLook<State extends object>(
  prisma: PrismaClient,
  row: KeptRow<State>,
  range: Calibration | null,
  joined: (stored: State) => State,
  isWritten: boolean,
): Promise<State | null> {
  const join = (stored: State) => {
    const fixed = row.rangeOf(stored);
    return fixed === null || isSameCalibration(fixed, range) ? joined(stored) : null;
  };
  if (!isWritten) return join(await row.read(prisma));
  return prisma.$transaction(async (tx) => {
    await row.lock(tx);
    const after = join(await row.read(tx));
    if (after !== null) await row.write(tx, columnsOf(after));
    return after;
  });
}
