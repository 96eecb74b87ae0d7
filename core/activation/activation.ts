/**
 * Activation: when a vehicle may change over to another definition of a flag. Source: releases.md, "Activation".
 */
import { ACTIVATIONS, KILL_ACTIVATIONS, type Activation, type FlagDefinition, type KillActivation } from '../model.ts';
import { isOneOf, membersOf } from '../json/json-value.ts';

/** The part of a definition that says how it is activated, and which flags it names. */
export type ActivatedFlag = Pick<
  FlagDefinition,
  'key' | 'activation' | 'killActivation' | 'requires' | 'excludes' | 'release'
>;

/** Gives the stricter of two activations. */
export function stricterActivation(one: Activation, other: Activation): Activation {
  return ACTIVATIONS.indexOf(one) < ACTIVATIONS.indexOf(other) ? other : one;
}

/** Says whether a definition's member (any JSON) is an activation that this version knows, or absent. */
export function isKnownActivation(value: unknown): boolean {
  return value === undefined || value === null || isOneOf(ACTIVATIONS, value);
}

/** Says whether a definition's `killActivation` (any JSON) is one that this version knows, or absent. */
export function isKnownKillActivation(value: unknown): boolean {
  return value === undefined || value === null || isOneOf(KILL_ACTIVATIONS, value);
}

/** Gives the new content of a flag's release, whatever JSON it is; empty where there is none. */
const nextOf = ({ release }: Pick<ActivatedFlag, 'release'>) => membersOf(membersOf(release).next);

/** Reads an activation, whatever JSON it is. One that is not known counts as the strictest. */
function readActivation(value: unknown): Activation {
  if (isOneOf(ACTIVATIONS, value)) return value;
  return isKnownActivation(value) ? 'IMMEDIATE' : 'NEXT_DRIVE';
}

/** Gives the stricter activation of a flag's contents: the stable one, and the new one while a release is under way. */
export function ownActivation(flag: Pick<ActivatedFlag, 'activation' | 'release'>): Activation {
  return stricterActivation(readActivation(flag.activation), readActivation(nextOf(flag).activation));
}

/** Gives the activation of a flag's kill switch, and of disabling it. One that is not known counts as the stricter. */
export function killActivationOf({ killActivation }: Pick<ActivatedFlag, 'killActivation'>): KillActivation {
  if (isOneOf(KILL_ACTIVATIONS, killActivation)) return killActivation;
  return isKnownKillActivation(killActivation) ? 'IMMEDIATE' : 'PARKED';
}

const listOf = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : []);

/** Gives the keys that a flag names in `requires` or `excludes`, in the content of its release as well. */
function namedBy(flag: ActivatedFlag): string[] {
  const next = nextOf(flag);
  const required = [flag.requires, next.requires].flatMap(listOf).map((entry) => membersOf(entry).flag);
  const excluded = [flag.excludes, next.excludes].flatMap(listOf);
  return [...required, ...excluded].filter((key) => typeof key === 'string');
}

/**
 * Gives the activation of each flag that is not `IMMEDIATE`. A flag takes the strictest one of those that name it,
 * directly or through others: a change of the one would otherwise change the value of the other.
 *
 * @param flags definitions; several may be of one flag, which then takes the strictest of them
 */
export function activationsOf(flags: Iterable<ActivatedFlag>): Map<string, Activation> {
  const all = [...flags];
  const activations = new Map<string, Activation>();
  const raise = (key: string, activation: Activation): boolean => {
    const before = activations.get(key) ?? 'IMMEDIATE';
    const after = stricterActivation(before, activation);
    if (after !== 'IMMEDIATE') activations.set(key, after);
    return after !== before;
  };
  for (const flag of all) raise(flag.key, ownActivation(flag));
  if (activations.size === 0) return activations;
  const named = new Map<string, string[]>();
  for (const flag of all) named.set(flag.key, [...(named.get(flag.key) ?? []), ...namedBy(flag)]);
  const raised = [...activations.keys()];
  // The list grows while it is walked. Each flag comes into it at most once for each activation.
  for (const key of raised)
    for (const other of named.get(key) ?? []) if (raise(other, activations.get(key)!)) raised.push(other);
  return activations;
}
