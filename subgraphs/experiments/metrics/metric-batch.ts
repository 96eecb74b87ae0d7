/** A vehicle's batch of measurements, in the form in which it is stored. A batch is accepted whole or refused whole. */
import { FleetFlagError, badInput } from '../../../core/errors.ts';
import { MAX_BATCH_ITEMS, validateBatchId, validateMeasured } from '../../../core/wire/vehicle/metric.ts';
import type { MetricBatchInput } from '../generated/resolvers.ts';

/**
 * A row of `metric_rows` as a line of JSONCompactEachRow, with its values in the order of METRIC_COLUMNS. Each batch is
 * turned into text as it arrives, which spreads the cost: inserting thousands of rows then blocks nothing.
 */
export type MetricRow = string;

/** The columns of a row, in order. */
export const METRIC_COLUMNS = [
  'flag_key',
  'metric',
  'at',
  'vin',
  'batch_id',
  'position',
  'variant',
  'value',
  'tags',
  'received_at',
] as const;

/** A batch that has been checked. */
export interface MetricBatch {
  readonly vin: string;
  readonly batchId: string;
  readonly rows: readonly MetricRow[];
  /** The approximate memory of the rows in bytes; text beyond Latin-1 takes twice as much. */
  readonly bytes: number;
  /** The number of items outside the accepted times. */
  readonly dropped: number;
}

/** Milliseconds that a vehicle's clock may be ahead. */
const MAX_AHEAD_MS = 5 * 60_000;
/** The greatest age of a measurement in milliseconds: a vehicle that was offline for longer loses older ones. */
export const MAX_AGE_MS = 30 * 86_400_000;
const HOUR_MS = 3_600_000;
/** The bytes of a row besides its text. */
const ROW_BYTES = 32;

/** Gives a time as the metrics store reads it, in UTC. */
export const clickHouseTime = (date: Date) => date.toISOString().slice(0, 23).replace('T', ' ');

/**
 * Reads a batch of the vehicle `vin`. Items from more than five minutes after `now`, or from before the hour thirty
 * days ago, are left out and counted: the vehicle cannot correct them, and they must not hold up the others. Times are
 * never corrected, because a batch that is sent again must have the same times as the first one.
 *
 * @param now milliseconds since 1970
 * @throws BAD_USER_INPUT at `input.…` for the first fault; LIMIT_EXCEEDED for more than 500 items
 */
export function readMetricBatch(vin: string, input: MetricBatchInput, now: number): MetricBatch {
  const { items } = input;
  const batchId = validateBatchId(input.batchId, 'input.batchId');
  if (items.length === 0) throw badInput('input.items', 'A batch must have at least one item.');
  if (items.length > MAX_BATCH_ITEMS)
    throw new FleetFlagError('LIMIT_EXCEEDED', `A batch may have at most ${MAX_BATCH_ITEMS} items.`, {
      field: 'input.items',
      limit: MAX_BATCH_ITEMS,
    });
  // The limit is a whole hour, so that an hour of a batch is kept or dropped whole, however often the batch is sent.
  const oldest = Math.floor((now - MAX_AGE_MS) / HOUR_MS) * HOUR_MS;
  const receivedAt = clickHouseTime(new Date(now));
  const rows: MetricRow[] = [];
  let bytes = 0;
  items.forEach((item, position) => {
    const { metricName, tags } = validateMeasured(item, `input.items.${position}.`);
    const at = item.timestamp.getTime();
    if (at < oldest || at > now + MAX_AHEAD_MS) return;
    const text = tags === null ? '' : JSON.stringify(tags);
    const row = `${JSON.stringify([item.flagKey, metricName, clickHouseTime(item.timestamp), vin, batchId, position, item.variant, item.value, text, receivedAt])}\n`;
    bytes += ROW_BYTES + row.length;
    rows.push(row);
  });
  return { vin, batchId, rows, bytes, dropped: items.length - rows.length };
}
