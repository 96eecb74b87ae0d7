import { badInput } from '../../core/errors.ts';
import { faultMessage } from '../../core/wire/vehicle/fault.ts';

/**
 * Reads the message of a program's fault.
 *
 * @throws FleetFlagError BAD_USER_INPUT where it is blank or no text
 */
export function readFaultMessage(message: unknown): string {
  const text = typeof message === 'string' ? faultMessage(message) : '';
  if (text === '') throw badInput('message', 'A fault requires a message: text that is not blank.');
  return text;
}
