/** Tables of vehicles, and of their connections. */
import { NOW, TIME, ENVIRONMENT, oneOf, text, type TableSpecification } from './table.ts';

export const VEHICLE_TABLES: Readonly<Record<string, TableSpecification>> = {
  vehicles: {
    columns: {
      vin: `${text(17)} NOT NULL`,
      model: `${text(100)} NOT NULL`,
      sw_version: `${text(50)} NOT NULL`,
      region: `${text(10)} NOT NULL`,
      status: `${text(20)} NOT NULL`,
      last_seen_at: TIME,
      agent_version: text(20),
      agent_memory_mb: 'integer',
      agent_cpu_percent: 'numeric(5,2)',
      cache_size_mb: 'numeric(8,2)',
      registered_at: NOW,
      updated_at: NOW,
      // Not in the data specification.
      environment: text(20),
      applied_revision: 'bigint',
      token_generation: 'integer NOT NULL DEFAULT 0',
      tokens_revoked_at: 'timestamp(3) with time zone',
      disconnected_at: TIME,
      status_position: 'bigint',
      clock_offset_seconds: 'double precision',
      agent_refusals: "text[] NOT NULL DEFAULT '{}'::text[]",
    },
    constraints: {
      vehicles_pkey: 'PRIMARY KEY (vin)',
      vehicles_vin_check: `CHECK (((vin)::text ~ '^[A-HJ-NPR-Z0-9]{17}$'::text))`,
      vehicles_status_check: oneOf('status', ['online', 'offline', 'maintenance']),
      vehicles_environment_check: oneOf('environment', ENVIRONMENT),
      vehicles_token_generation_check: 'CHECK ((token_generation >= 0))',
      vehicles_tokens_revoked: 'CHECK (((token_generation > 0) = (tokens_revoked_at IS NOT NULL)))',
    },
    indexes: {
      idx_vehicles_model: 'btree (model)',
      idx_vehicles_sw_version: 'btree (sw_version)',
      idx_vehicles_region: 'btree (region)',
      idx_vehicles_status: 'btree (status)',
      idx_vehicles_last_seen_at: 'btree (last_seen_at DESC)',
      // Not in the data specification.
      idx_vehicles_tokens_revoked: 'btree (tokens_revoked_at, vin) WHERE (tokens_revoked_at IS NOT NULL)',
      idx_vehicles_env_revision: 'btree (environment, applied_revision)',
      idx_vehicles_disconnected_at: 'btree (disconnected_at) WHERE (disconnected_at IS NOT NULL)',
      idx_vehicles_status_position: 'btree (status_position) WHERE (status_position IS NOT NULL)',
    },
    commented: [
      'vin',
      'agent_version',
      'agent_memory_mb',
      'agent_cpu_percent',
      'cache_size_mb',
      'environment',
      'applied_revision',
      'token_generation',
      'tokens_revoked_at',
      'disconnected_at',
      'status_position',
      'clock_offset_seconds',
      'agent_refusals',
    ],
    triggers: ['vehicles_updated_at'],
  },
  gateway_leases: {
    columns: { gateway_id: 'uuid NOT NULL', sequence: 'bigint NOT NULL', renewed_at: NOW },
    constraints: {
      gateway_leases_pkey: 'PRIMARY KEY (gateway_id)',
      gateway_leases_sequence_check: 'CHECK ((sequence > 0))',
    },
    indexes: { idx_gateway_leases_renewed_at: 'btree (renewed_at)' },
    commented: ['gateway_id', 'sequence'],
  },
  vehicle_connections: {
    columns: { gateway_id: 'uuid NOT NULL', vin: `${text(17)} NOT NULL` },
    constraints: {
      vehicle_connections_pkey: 'PRIMARY KEY (gateway_id, vin)',
      vehicle_connections_gateway_id_fkey:
        'FOREIGN KEY (gateway_id) REFERENCES gateway_leases(gateway_id) ON DELETE CASCADE',
    },
    indexes: { idx_vehicle_connections_vin: 'btree (vin)' },
    commented: [],
  },
  vehicle_status_head: {
    columns: { id: 'smallint NOT NULL DEFAULT 1', position: 'bigint NOT NULL DEFAULT 0' },
    constraints: { vehicle_status_head_pkey: 'PRIMARY KEY (id)', vehicle_status_head_id_check: 'CHECK ((id = 1))' },
    indexes: {},
    commented: ['position'],
  },
};
