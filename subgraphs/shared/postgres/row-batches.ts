/** Rows for statements that write many at once: as one parameter of JSON, and in batches that no change can outgrow. */
import type { JsonObject } from '../../../core/model.ts';

/** The most rows that one statement writes. */
const ROWS = 500;

/** Divides rows among statements, in order. */
export function rowBatches<Row>(rows: readonly Row[]): (readonly Row[])[] {
  const batches: (readonly Row[])[] = [];
  for (let from = 0; from < rows.length; from += ROWS) batches.push(rows.slice(from, from + ROWS));
  return batches;
}

/**
 * Writes rows in batches.
 *
 * @param write gets rows as text for `jsonb_populate_recordset(NULL::<table>, <text>::jsonb)`, and gives how many rows
 *   it has written
 * @throws Error where a batch has written fewer rows than it has, or more
 */
export async function writeRows(
  rows: readonly JsonObject[],
  write: (json: string) => PromiseLike<number>,
): Promise<void> {
  for (const batch of rowBatches(rows)) {
    const count = await write(JSON.stringify(batch));
    if (count !== batch.length) throw new Error(`A statement has written ${count} rows, not ${batch.length}`);
  }
}
