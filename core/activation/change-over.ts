/**
 * Change-over: which flags of a vehicle keep their active definition during a drive, though a later one is there. Pure.
 * Source: releases.md, "Activation".
 */
import { canonicalJson } from '../json/canonical-json.ts';
import type { FlagDefinition } from '../model.ts';
import { activationsOf, killActivationOf } from './activation.ts';
import { isStopped } from './last-known-good.ts';

/** A definition by which a flag is evaluated, or would be. */
export interface ActivatedDefinition {
  /** An id that is the same for the same definition. */
  readonly id: string;
  readonly definition: FlagDefinition;
  /** Whether it is the last known good to which the vehicle goes back by itself. */
  readonly isReturn?: boolean;
}

/** The definitions of a vehicle by the keys of their flags. */
export type ActivatedDefinitions = ReadonlyMap<string, ActivatedDefinition>;

/** Says whether two definitions serve the same, so that a new signature, scope or bound of returns is no change. */
function serveTheSame(one: FlagDefinition, other: FlagDefinition): boolean {
  const served = (definition: FlagDefinition) =>
    canonicalJson({ ...definition, revision: 0, scope: null, noReturnBelow: null });
  return served(one) === served(other);
}

/**
 * Gives the keys of the flags that wait for the end of the drive: they keep their active definition, or stay away where
 * they have none. A kill switch, a disabling and a return to a last known good wait by the `killActivation` of the
 * definition that brings them, and all other changes by the `activation` of both definitions and of those that name the
 * flag, whichever is strictest.
 *
 * @param active the definitions by which the vehicle evaluates
 * @param next those by which it would evaluate if it were parked
 */
export function waitingFlags(active: ActivatedDefinitions, next: ActivatedDefinitions): Set<string> {
  const changed = [...new Set([...active.keys(), ...next.keys()])].filter(
    (key) => active.get(key)?.id !== next.get(key)?.id,
  );
  const waiting = new Set<string>();
  if (changed.length === 0) return waiting;
  const activations = activationsOf(Array.from([...active.values(), ...next.values()], ({ definition }) => definition));
  for (const key of changed) {
    const [before, after] = [active.get(key)?.definition, next.get(key)?.definition];
    const isStop = after !== undefined && (isStopped(after) || next.get(key)?.isReturn === true);
    const waits = isStop ? killActivationOf(after) !== 'IMMEDIATE' : activations.has(key);
    if (!waits || (before !== undefined && after !== undefined && serveTheSame(before, after))) continue;
    waiting.add(key);
  }
  return waiting;
}
