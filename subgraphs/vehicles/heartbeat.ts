/** What an agent says of itself every minute, and what may be stored of it. */
import { badInput } from '../../core/errors.ts';
import type { Environment } from '../../core/model.ts';
import { checkFact } from './vehicle.ts';

/** As it comes; what is missing or null is not known, and leaves what is stored as it is. */
export interface HeartbeatInput {
  readonly swVersion?: string | null;
  readonly agentVersion?: string | null;
  readonly agentMemoryMb?: number | null;
  readonly agentCpuPercent?: number | null;
  readonly cacheSizeMb?: number | null;
  readonly appliedRevision?: number | null;
}

export interface Heartbeat {
  readonly vin: string;
  /** That of the agent's token: its revision counts there. */
  readonly environment: Environment;
  readonly swVersion: string | null;
  readonly agentVersion: string | null;
  readonly agentMemoryMb: number | null;
  readonly agentCpuPercent: number | null;
  readonly cacheSizeMb: number | null;
  readonly appliedRevision: number | null;
}

/** The largest numbers that the columns take (database.md, vehicles); the revision is as large as the API's Int. */
const MAXIMA = { agentMemoryMb: 2_147_483_647, agentCpuPercent: 999.99, cacheSizeMb: 999_999.99, appliedRevision: 2_147_483_647 } as const;

/**
 * Checks what a vehicle says.
 *
 * @throws BAD_USER_INPUT at `input.…` for what its column would not take
 */
export function readHeartbeat(vin: string, environment: Environment, input: HeartbeatInput): Heartbeat {
  for (const field of ['swVersion', 'agentVersion'] as const) {
    const text = input[field] ?? null;
    if (text !== null) checkFact(field, text, `input.${field}`);
  }
  for (const field of Object.keys(MAXIMA) as (keyof typeof MAXIMA)[]) {
    const value = input[field] ?? 0;
    if (value < 0 || value > MAXIMA[field]) throw badInput(`input.${field}`, `${field} is ${value}; it is 0 to ${MAXIMA[field]}.`);
  }
  return {
    vin,
    environment,
    swVersion: input.swVersion ?? null,
    agentVersion: input.agentVersion ?? null,
    agentMemoryMb: input.agentMemoryMb ?? null,
    agentCpuPercent: input.agentCpuPercent ?? null,
    cacheSizeMb: input.cacheSizeMb ?? null,
    appliedRevision: input.appliedRevision ?? null,
  };
}

/** Two heartbeats of one vehicle as one: the later says what is so now, and the earlier what the later leaves open. */
export function mergeHeartbeats(earlier: Heartbeat, later: Heartbeat): Heartbeat {
  return {
    vin: later.vin,
    environment: later.environment,
    swVersion: later.swVersion ?? earlier.swVersion,
    agentVersion: later.agentVersion ?? earlier.agentVersion,
    agentMemoryMb: later.agentMemoryMb ?? earlier.agentMemoryMb,
    agentCpuPercent: later.agentCpuPercent ?? earlier.agentCpuPercent,
    cacheSizeMb: later.cacheSizeMb ?? earlier.cacheSizeMb,
    appliedRevision: later.appliedRevision ?? (earlier.environment === later.environment ? earlier.appliedRevision : null),
  };
}
