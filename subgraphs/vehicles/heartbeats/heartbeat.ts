/** Heartbeats: the report that an agent sends every minute. */
import { badInput } from '../../../core/errors.ts';
import { FLAG_KEY_PATTERN, type Environment } from '../../../core/model.ts';
import type { AgentHeartbeatInput, EvaluatedFlagInput, PendingFlagInput } from '../generated/resolvers.ts';
import { readFact } from '../registry/vehicle.ts';

/** A heartbeat that has been checked. */
export interface Heartbeat {
  readonly vin: string;
  /** The environment of the agent's token, in which its revision counts. */
  readonly environment: Environment;
  readonly swVersion: string | null;
  readonly agentVersion: string | null;
  readonly agentMemoryMb: number | null;
  readonly agentCpuPercent: number | null;
  readonly cacheSizeMb: number | null;
  readonly appliedRevision: number | null;
  readonly clockOffsetSeconds: number | null;
  /** The agent's kinds of refusals in alphabetical order, each once. */
  readonly refusals: readonly string[] | null;
  /** The flags whose changes wait for the end of a drive, each as `key:revision`, in alphabetical order. */
  readonly pending: readonly string[];
  /**
   * The flags in a release whose new content programs have evaluated, in the same form; null where the agent cannot
   * say.
   */
  readonly evaluated: readonly string[] | null;
}

/** The largest numbers that the columns can store (database.md, vehicles); for the revision, that of the API's Int. */
const MAXIMA = [
  ['agentMemoryMb', 2_147_483_647],
  ['agentCpuPercent', 999.99],
  ['cacheSizeMb', 999_999.99],
  ['appliedRevision', 2_147_483_647],
] as const;

/** The greatest offset that is accepted: some 300 years, which covers clocks that say 1970 or 2100. */
const MAX_CLOCK_OFFSET_SECONDS = 10_000_000_000;

const MAX_REFUSALS = 20;
/** The form of a kind of refusal. The agent defines the kinds (agent/trust/refusals.ts), and newer agents have more. */
const REFUSAL_PATTERN = /^[a-z][a-z0-9-]{0,39}$/;

function readRefusals(refusals: readonly string[]): readonly string[] {
  if (refusals.length > MAX_REFUSALS)
    throw badInput('input.refusals', `A heartbeat may have at most ${MAX_REFUSALS} kinds of refusals.`);
  for (const [index, kind] of refusals.entries()) {
    if (!REFUSAL_PATTERN.test(kind))
      throw badInput(
        `input.refusals.${index}`,
        'A kind of refusal must have 1 to 40 lower-case letters, digits and hyphens, and begin with a letter.',
      );
  }
  return [...new Set(refusals)].sort();
}

/** The most flags in one list: a vehicle has no more. */
const MAX_FLAGS = 100;

/** Reads a list of flags. Gives each once as `key:revision`, in alphabetical order. */
function readFlags(
  name: 'pending' | 'evaluated',
  flags: readonly (PendingFlagInput | EvaluatedFlagInput)[],
): readonly string[] {
  if (flags.length > MAX_FLAGS)
    throw badInput(`input.${name}`, `A heartbeat may have at most ${MAX_FLAGS} ${name} flags.`);
  for (const [index, { key, revision }] of flags.entries()) {
    if (!FLAG_KEY_PATTERN.test(key)) throw badInput(`input.${name}.${index}.key`, 'Expected the key of a flag.');
    if (revision < 0) throw badInput(`input.${name}.${index}.revision`, 'A revision must be 0 or more.');
  }
  return [...new Set(flags.map(({ key, revision }) => `${key}:${revision}`))].sort();
}

/** Gives a pending flag from its stored form, `key:revision`. */
export function pendingFlagOf(stored: string): { readonly key: string; readonly revision: number } {
  const [key = '', revision = ''] = stored.split(':');
  return { key, revision: Number(revision) };
}

/**
 * Checks a heartbeat's input. Values that are missing or null are unknown, and leave the stored ones as they are.
 *
 * @throws BAD_USER_INPUT at `input.…` for a value that its column would not take
 */
export function readHeartbeat(vin: string, environment: Environment, input: AgentHeartbeatInput): Heartbeat {
  const fact = (field: 'swVersion' | 'agentVersion') =>
    typeof input[field] === 'string' ? readFact(field, input[field], `input.${field}`) : null;
  const [swVersion, agentVersion] = [fact('swVersion'), fact('agentVersion')];
  for (const [field, most] of MAXIMA) {
    const value = input[field] ?? 0;
    if (value < 0 || value > most)
      throw badInput(`input.${field}`, `${field} is ${value}; it must be from 0 to ${most}.`);
  }
  const clockOffsetSeconds = input.clockOffsetSeconds ?? null;
  if (clockOffsetSeconds !== null && Math.abs(clockOffsetSeconds) > MAX_CLOCK_OFFSET_SECONDS) {
    throw badInput(
      'input.clockOffsetSeconds',
      `clockOffsetSeconds is ${clockOffsetSeconds}; it must be from -${MAX_CLOCK_OFFSET_SECONDS} to ${MAX_CLOCK_OFFSET_SECONDS}.`,
    );
  }
  return {
    vin,
    environment,
    swVersion,
    agentVersion,
    agentMemoryMb: input.agentMemoryMb ?? null,
    agentCpuPercent: input.agentCpuPercent ?? null,
    cacheSizeMb: input.cacheSizeMb ?? null,
    appliedRevision: input.appliedRevision ?? null,
    clockOffsetSeconds,
    refusals: input.refusals == null ? null : readRefusals(input.refusals),
    // An agent omits the list when no flag is pending, and an older agent does not have it.
    pending: readFlags('pending', input.pending ?? []),
    evaluated: input.evaluated == null ? null : readFlags('evaluated', input.evaluated),
  };
}

/** Merges two heartbeats of one vehicle: the later one's values, and the earlier one's where the later has none. */
export function mergeHeartbeats(earlier: Heartbeat, later: Heartbeat): Heartbeat {
  return {
    vin: later.vin,
    environment: later.environment,
    swVersion: later.swVersion ?? earlier.swVersion,
    agentVersion: later.agentVersion ?? earlier.agentVersion,
    agentMemoryMb: later.agentMemoryMb ?? earlier.agentMemoryMb,
    agentCpuPercent: later.agentCpuPercent ?? earlier.agentCpuPercent,
    cacheSizeMb: later.cacheSizeMb ?? earlier.cacheSizeMb,
    appliedRevision:
      later.appliedRevision ?? (earlier.environment === later.environment ? earlier.appliedRevision : null),
    clockOffsetSeconds: later.clockOffsetSeconds ?? earlier.clockOffsetSeconds,
    refusals: later.refusals ?? earlier.refusals,
    pending: later.pending,
    evaluated: later.evaluated,
  };
}
