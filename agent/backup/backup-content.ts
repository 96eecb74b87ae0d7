/**
 * The content of a backup: what a vehicle that has lost its database does not get back by a sync
 * (docs/decisions/vehicle/vehicle-backup.md). Its form is deflated JSON. It comes over the network, so reading it
 * trusts nothing in it.
 */
import { promisify } from 'node:util';
import { deflateRaw, inflateRaw } from 'node:zlib';
import { isCount, isJsonObject, isObject, membersOf, parseJson } from '../../core/json/json-value.ts';
import { MAX_BATCH_ITEMS, validateBatchId, validateMeasured } from '../../core/wire/vehicle/metric.ts';
import type { VehicleIdentity } from '../state.ts';
import { readTotals, type LifetimeTotals } from '../telemetry/lifetime-counts.ts';
import { QUEUE_LIMITS, type QueuedMetric } from '../telemetry/metrics/metric-queue.ts';
import { Refusal } from '../trust/refusals.ts';

/** The most bytes of a backup, which the control plane accepts. */
export const MAX_BACKUP_BYTES = 65_536;
/** The most bytes of its JSON: more than a full queue has. */
const MAX_JSON_BYTES = 4_194_304;
const VERSION = 1;
const SUBJECT = 'backup';

/** The metrics queue in a backup. */
export interface QueueCopy {
  readonly origin: string;
  /** The rows that wait, the oldest first. */
  readonly rows: readonly QueuedMetric[];
  /** The number of rows, from the oldest on, that are the open batch. */
  readonly inBatch: number;
  readonly nextId: number;
}

/** The content of a backup. */
export interface BackupContent {
  readonly identity: VehicleIdentity;
  /** The last signed proof whose set the vehicle held; null before the first. */
  readonly proof: string | null;
  readonly syncCount: number;
  readonly lifetime: LifetimeTotals;
  readonly queue: QueueCopy;
}

/**
 * Gives the bytes of a backup. Where they would be too many, the newest rows are left out: batches are made of the
 * oldest rows, so a restored queue makes the same batches again. Rejects where the rest alone has too many.
 */
export async function encodeBackup(content: BackupContent): Promise<Buffer> {
  const { identity, proof, syncCount, lifetime, queue } = content;
  for (let rows = queue.rows; ;) {
    const json = JSON.stringify({
      v: VERSION,
      vin: identity.vin,
      environment: identity.environment,
      proof,
      syncCount,
      lifetime,
      queue: {
        origin: queue.origin,
        nextId: queue.nextId,
        inBatch: Math.min(queue.inBatch, rows.length),
        rows: rows.map(({ id, flagKey, variant, metricName, value, at, tags }) => [
          id,
          flagKey,
          variant,
          metricName,
          value,
          at,
          tags,
        ]),
      },
    });
    const bytes = await promisify(deflateRaw)(json);
    if (bytes.byteLength <= MAX_BACKUP_BYTES) return bytes;
    if (rows.length === 0) throw new Error(`it has more than ${MAX_BACKUP_BYTES} bytes, even without its measurements`);
    rows = rows.slice(0, Math.floor((rows.length * MAX_BACKUP_BYTES * 0.95) / bytes.byteLength));
  }
}

/**
 * Reads the bytes of a backup.
 *
 * @throws Refusal where they are malformed, or the backup is of another vehicle or environment
 */
export async function decodeBackup(bytes: Uint8Array, identity: VehicleIdentity): Promise<BackupContent> {
  let json: unknown;
  try {
    json = parseJson((await promisify(inflateRaw)(bytes, { maxOutputLength: MAX_JSON_BYTES })).toString('utf8'));
  } catch (cause) {
    throw new Refusal('malformed', SUBJECT, { cause });
  }
  const { v, vin, environment, proof, syncCount, lifetime, queue } = membersOf(json);
  if (v !== VERSION) throw malformed('version');
  if (vin !== identity.vin) throw new Refusal('wrong-vehicle', SUBJECT);
  if (environment !== identity.environment) throw new Refusal('wrong-environment', SUBJECT);
  const totals = readTotals(lifetime);
  if ((proof !== null && typeof proof !== 'string') || !isCount(syncCount) || totals === null)
    throw malformed('proof or counts');
  return { identity, proof, syncCount, lifetime: totals, queue: readQueueCopy(queue) };
}

function readQueueCopy(value: unknown): QueueCopy {
  if (!isObject(value)) throw malformed('queue');
  const { origin, nextId, inBatch, rows } = value;
  if (typeof origin !== 'string' || !isCount(nextId) || !isCount(inBatch) || !Array.isArray(rows))
    throw malformed('queue');
  if (rows.length > QUEUE_LIMITS.rows || inBatch > Math.min(MAX_BATCH_ITEMS, rows.length)) throw malformed('queue');
  try {
    validateBatchId(`${origin}:${nextId}`, 'origin');
    let before = 0;
    const read = rows.map((row: unknown): QueuedMetric => {
      const metric = readRow(row);
      if (metric.id <= before || metric.id >= nextId) throw new Error(`id ${metric.id}`);
      before = metric.id;
      return metric;
    });
    return { origin, nextId, inBatch, rows: read };
  } catch (cause) {
    throw new Refusal('malformed', SUBJECT, { cause });
  }
}

function readRow(row: unknown): QueuedMetric {
  if (!Array.isArray(row)) throw new Error('a row is not a list');
  const cells: readonly unknown[] = row;
  const [id, flagKey, variant, metricName, value, at, tags] = cells;
  if (
    !isCount(id) ||
    typeof flagKey !== 'string' ||
    typeof variant !== 'string' ||
    typeof metricName !== 'string' ||
    typeof value !== 'number' ||
    typeof at !== 'number' ||
    !(Math.abs(at) <= 8.64e15) ||
    (tags !== null && !isJsonObject(tags))
  )
    throw new Error('a row does not have the expected members');
  const measured = { flagKey, variant, metricName, value };
  return { id, at, ...measured, ...validateMeasured({ ...measured, tags }, '') };
}

const malformed = (part: string) => new Refusal('malformed', SUBJECT, { cause: new Error(`its ${part}`) });
