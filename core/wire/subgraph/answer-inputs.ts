/**
 * The states that decide whether an answer still holds that was computed before. The flags subgraph reads them for
 * gateways. All states are opaque: they are compared, and mean nothing else.
 */
import { isCount, isObject, membersOf } from '../../json/json-value.ts';

/** The states that one read has found. */
export interface AnswerInputs {
  /** The time at which the read began by the database's clock, in whole seconds since 1970. */
  readonly second: number;
  /** The position of every environment: its revision, and the time at which it changed. */
  readonly environments: ReadonlyMap<string, string>;
  /** The registered facts of those vehicles that were asked for and are registered, by VIN. */
  readonly vehicles: ReadonlyMap<string, string>;
  /** The flag that has a key, and whether it is a draft; of the keys that were asked for and are taken. */
  readonly flags: ReadonlyMap<string, string>;
}

/** The states in the form in which a subgraph sends them. */
export type AnswerInputsJson = {
  readonly second: number;
  readonly environments: Record<string, string>;
  readonly vehicles: Record<string, string>;
  readonly flags: Record<string, string>;
};

/** The most VINs, and the most keys, in one question. */
export const MAX_INPUT_NAMES = 1_000;

function statesIn(value: unknown): Map<string, string> | null {
  if (!isObject(value)) return null;
  const states = new Map<string, string>();
  for (const [name, state] of Object.entries(value)) {
    if (typeof state !== 'string') return null;
    states.set(name, state);
  }
  return states;
}

/** Reads the states that a subgraph has sent; null for anything else. */
export function readAnswerInputs(value: unknown): AnswerInputs | null {
  const { second, ...sent } = membersOf(value);
  const [environments, vehicles, flags] = [sent['environments'], sent['vehicles'], sent['flags']].map(statesIn);
  if (!isCount(second) || !environments || !vehicles || !flags) return null;
  return { second, environments, vehicles, flags };
}
