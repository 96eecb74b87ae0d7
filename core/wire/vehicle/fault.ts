/**
 * Faults as vehicles report them to the control plane: how a vehicle fares under a flag's present definition. The agent
 * and the control plane share these checks, so that no fault waits in a vehicle that the control plane would refuse.
 * Source: releases.md, "The health gate".
 */
import { badInput } from '../../errors.ts';
import { isCount } from '../../json/json-value.ts';
import { validateFlagKey } from '../../validation/validate-flag.ts';

/**
 * The kinds of faults: the agent cannot evaluate the definition; a value is outside the definition's own contract; an
 * evaluation ended in an error; the agent started three times within ten minutes of a change; a program has reported
 * one; the vehicle has gone back to the flag's last known good.
 */
export const FAULT_KINDS = [
  'not_servable',
  'outside_contract',
  'evaluation_error',
  'restarts',
  'reported_by_program',
  'returned',
] as const;
/** The kind of a fault. */
export type FaultKind = (typeof FAULT_KINDS)[number];

/**
 * The kinds that programs can cause as often as they like: by reports, and by evaluations that ask for the wrong type.
 * The agent sees all others by itself. Neither makes room for itself by the other, wherever faults are kept.
 */
export const PROGRAM_FAULT_KINDS: readonly FaultKind[] = ['reported_by_program', 'evaluation_error'];

/** Says whether programs can cause faults of a kind as often as they like. */
export const isCausedByPrograms = (kind: FaultKind): boolean => PROGRAM_FAULT_KINDS.includes(kind);

/** The severities that a program may give. A fatal fault takes the flag back to its last known good in that vehicle. */
export const FAULT_SEVERITIES = ['error', 'fatal'] as const;
/** The severity of a program's fault. */
export type FaultSeverity = (typeof FAULT_SEVERITIES)[number];

/** A fault of a vehicle under one definition of a flag. A vehicle reports each flag, revision and kind once. */
export interface FlagFault {
  readonly flagKey: string;
  /** The revision of the definition under which it happened. */
  readonly revision: number;
  readonly kind: FaultKind;
  /** One line of 1 to 300 characters. */
  readonly message: string;
}

/** The most faults of one report. */
export const MAX_REPORTED_FAULTS = 50;
const MAX_MESSAGE_LENGTH = 300;
/** The characters of a text that are read. A program may report a stack of any length. */
const MAX_READ_LENGTH = 4_000;

/** Blanks, and all that would be invisible or break a line where a message is listed. */
const NOT_PLAIN = /[\s\p{Cc}\p{Cf}\p{Surrogate}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}]+/gu;

/**
 * Gives a text as the message of a fault: one line of at most 300 characters without invisible ones. Blank text gives
 * an empty message. The message of a message is itself.
 */
export function faultMessage(text: string): string {
  const line = text.slice(0, MAX_READ_LENGTH).replace(NOT_PLAIN, ' ').trim();
  return line.length <= MAX_MESSAGE_LENGTH ? line : Array.from(line).slice(0, MAX_MESSAGE_LENGTH).join('').trimEnd();
}

/**
 * Validates a fault that a vehicle reports.
 *
 * @param prefix the beginning of each member's dotted path, such as `input.faults.3.`
 * @throws BAD_USER_INPUT at the path of the first fault of the input
 */
export function validateFault({ flagKey, revision, message }: Omit<FlagFault, 'kind'>, prefix: string): void {
  validateFlagKey(flagKey, `${prefix}flagKey`);
  if (!isCount(revision) || revision === 0) throw badInput(`${prefix}revision`, 'A revision must be 1 or more.');
  if (message === '' || faultMessage(message) !== message)
    throw badInput(
      `${prefix}message`,
      `A message must be one line of 1 to ${MAX_MESSAGE_LENGTH} characters, without blanks at its ends and invisible characters.`,
    );
}
