/** Heartbeats in the vehicles table. */
import type { PrismaClient } from '../../../prisma/generated/client.ts';
import { MAX_LEAD } from '../../shared/between-subgraphs/believable-revision.ts';
import type { Heartbeat } from './heartbeat.ts';
import { is } from '../../../core/json/shape.ts';
import { rowsOf } from '../../shared/postgres/rows.ts';

/**
 * Writes heartbeats of different vehicles in one statement, which locks the rows in the order of VINs. A revision is
 * stored as reported, even when it is lower than before (docs/decisions/vehicle/applied-revision.md), but only when it
 * belongs to the vehicle's own environment. One far above the environment's own is not believed; the vehicle's revision
 * is then unknown.
 *
 * @returns the VINs that are registered; the others are not stored
 */
export async function writeHeartbeats(
  prisma: PrismaClient,
  heartbeats: readonly Heartbeat[],
): Promise<ReadonlySet<string>> {
  const column = <Field extends keyof Heartbeat>(field: Field) => heartbeats.map((heartbeat) => heartbeat[field]);
  // Lists of different lengths make no two-dimensional array in PostgreSQL, so each is joined; no kind and no key
  // contains a comma.
  const refusals = heartbeats.map((heartbeat) => heartbeat.refusals?.join(',') ?? null);
  const pending = heartbeats.map((heartbeat) => heartbeat.pending.join(','));
  const evaluated = heartbeats.map((heartbeat) => heartbeat.evaluated?.join(',') ?? null);
  const rows = await rowsOf(prisma, { vin: is.string })`
    WITH locked AS MATERIALIZED (
      SELECT vin FROM vehicles WHERE vin = ANY(${column('vin')}::text[]) ORDER BY vin FOR UPDATE
    )
    UPDATE vehicles SET
      sw_version = COALESCE(beat.sw_version, vehicles.sw_version),
      agent_version = COALESCE(beat.agent_version, vehicles.agent_version),
      agent_memory_mb = COALESCE(beat.agent_memory_mb, vehicles.agent_memory_mb),
      agent_cpu_percent = COALESCE(beat.agent_cpu_percent, vehicles.agent_cpu_percent),
      cache_size_mb = COALESCE(beat.cache_size_mb, vehicles.cache_size_mb),
      applied_revision = CASE
        WHEN beat.environment IS DISTINCT FROM vehicles.environment THEN vehicles.applied_revision
        WHEN beat.applied_revision > (SELECT revision FROM environments WHERE name = beat.environment) + ${MAX_LEAD} THEN NULL
        ELSE COALESCE(beat.applied_revision, vehicles.applied_revision)
      END,
      clock_offset_seconds = COALESCE(beat.clock_offset_seconds, vehicles.clock_offset_seconds),
      agent_refusals = COALESCE(string_to_array(beat.refusals, ','), vehicles.agent_refusals),
      pending_flags = string_to_array(beat.pending, ','),
      evaluated_flags = string_to_array(beat.evaluated, ','),
      last_seen_at = NOW()
    FROM locked JOIN unnest(
      ${column('vin')}::text[], ${column('environment')}::text[], ${column('swVersion')}::text[], ${column('agentVersion')}::text[],
      ${column('agentMemoryMb')}::integer[], ${column('agentCpuPercent')}::float8[], ${column('cacheSizeMb')}::float8[], ${column('appliedRevision')}::bigint[],
      ${column('clockOffsetSeconds')}::float8[], ${refusals}::text[], ${pending}::text[], ${evaluated}::text[]
    ) AS beat (vin, environment, sw_version, agent_version, agent_memory_mb, agent_cpu_percent, cache_size_mb, applied_revision, clock_offset_seconds, refusals, pending, evaluated) ON beat.vin = locked.vin
    WHERE vehicles.vin = locked.vin
    RETURNING vehicles.vin`;
  return new Set(rows.map(({ vin }) => vin));
}
