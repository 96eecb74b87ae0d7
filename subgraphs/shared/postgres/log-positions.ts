/** Positions in the write-ahead log of a primary, and how far a replica has replayed it. */
import { is } from '../../../core/json/shape.ts';
import type { PrismaClient } from '../../../prisma/generated/client.ts';
import { readPrepared } from './prepared-statements.ts';

/** The state of a replica as it says itself. */
export interface ReplicaState {
  /** False for a server that takes writes: a replica that has been promoted, or no replica at all. */
  readonly isStandby: boolean;
  /** The position of the primary's log up to which it has replayed. */
  readonly replayed: bigint;
}

/** Reads a position as PostgreSQL writes it, such as `16/B374D848`: two 32-bit numbers, hexadecimal. */
export function positionOf(text: string): bigint {
  const [, high, low] = /^([0-9A-F]{1,8})\/([0-9A-F]{1,8})$/i.exec(text) ?? [];
  if (high === undefined || low === undefined) throw new Error(`${JSON.stringify(text)} is no position of a log`);
  return (BigInt(`0x${high}`) << 32n) | BigInt(`0x${low}`);
}

/**
 * Reads the position up to which the primary's log is on its disk. A commit is visible to others only when it is there,
 * so everything that can be read at the primary lies before it. (The position of the next record would not do: at the
 * end of a page it lies behind a header that no replica replays before the record.)
 *
 * @throws Error for a replica
 */
export async function readPosition(primary: PrismaClient): Promise<bigint> {
  const text = 'SELECT pg_current_wal_flush_lsn()::text AS position';
  const [row] = await readPrepared(primary, { position: is.string }, 'flushed_position', text, []);
  return positionOf(row?.position ?? '');
}

/** Asks a replica for its state. */
export async function readReplicaState(replica: PrismaClient): Promise<ReplicaState> {
  const text = `SELECT pg_is_in_recovery() AS standby, COALESCE(pg_last_wal_replay_lsn(), '0/0')::text AS replayed`;
  const columns = { standby: is.boolean, replayed: is.string };
  const [row] = await readPrepared(replica, columns, 'replayed_position', text, []);
  return { isStandby: row?.standby ?? false, replayed: positionOf(row?.replayed ?? '') };
}
