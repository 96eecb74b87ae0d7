/** Validates when vehicles may change over to a flag, and stop it. Source: releases.md, "Activation". */
import { badInput } from '../errors.ts';
import { isOneOf } from '../json/json-value.ts';
import { ACTIVATIONS, KILL_ACTIVATIONS, type Activation, type KillActivation } from '../model.ts';

const expected = (values: readonly string[]) => `Expected one of ${values.join(', ')}.`;

/**
 * Gives an activation; `IMMEDIATE` where there is none.
 *
 * @throws BAD_USER_INPUT at `path`
 */
export function validateActivation(activation: unknown, path: string): Activation {
  if (activation === undefined || activation === null) return 'IMMEDIATE';
  if (!isOneOf(ACTIVATIONS, activation)) throw badInput(path, expected(ACTIVATIONS));
  return activation;
}

/**
 * Gives the activation of a kill switch; `IMMEDIATE` where there is none.
 *
 * @throws BAD_USER_INPUT at `path`
 */
export function validateKillActivation(activation: unknown, path: string): KillActivation {
  if (activation === undefined || activation === null) return 'IMMEDIATE';
  if (!isOneOf(KILL_ACTIVATIONS, activation)) throw badInput(path, expected(KILL_ACTIVATIONS));
  return activation;
}
