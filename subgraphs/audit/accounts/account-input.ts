/**
 * Checks of an account's e-mail, name, department and password. Lengths are those of the columns (database.md, users).
 */
import { badInput } from '../../../core/errors.ts';
import { readActorName } from '../../../core/validation/text.ts';
import type { CreateUserInput, UpdateUserInput } from '../generated/resolvers.ts';
import { EMAIL_FORM, isEmailAddress } from './email-address.ts';
import { normalizedEmail, type AccountDetails, type User } from './user.ts';

const MIN_PASSWORD = 12;
/** The most characters of a password, far more than anybody types: hashing must not become a load of its own. */
const MAX_PASSWORD = 1_000;
const MAX_LABEL = 100;

/** Requires 12 to 1,000 characters. Throws BAD_USER_INPUT at `path`. */
export function checkPassword(password: string, path: string): void {
  if (password.length < MIN_PASSWORD || password.length > MAX_PASSWORD)
    throw badInput(path, `A password must have ${MIN_PASSWORD} to ${MAX_PASSWORD} characters.`);
}

const label = (text: string, what: string, path: string) =>
  readActorName(text, path, { what: `A ${what}`, max: MAX_LABEL });

/** Reads a new account, with the e-mail as it is stored. Throws BAD_USER_INPUT at `input.…`. */
export function readCreateUser(input: CreateUserInput): Pick<User, 'email' | 'name' | 'role' | 'department'> {
  // The check comes before the lower-case form, which turns some other letters into ASCII.
  if (!isEmailAddress(input.email.trim())) throw badInput('input.email', EMAIL_FORM);
  const email = normalizedEmail(input.email);
  const name = label(input.name, 'name', 'input.name');
  const department =
    typeof input.department === 'string' ? label(input.department, 'department', 'input.department') : null;
  checkPassword(input.password, 'input.password');
  return { email, name, role: input.role, department };
}

/**
 * Reads the changes of an account: only the given members. Only the department may be null. Throws BAD_USER_INPUT at
 * `input.…`.
 */
export function readUpdateUser(input: UpdateUserInput): Partial<AccountDetails> {
  for (const field of ['name', 'role', 'isActive'] as const) {
    if (input[field] === null)
      throw badInput(`input.${field}`, `${field} must not be null; omit it to keep the current value.`);
  }
  return {
    ...(typeof input.name === 'string' && { name: label(input.name, 'name', 'input.name') }),
    ...(input.role && { role: input.role }),
    ...(input.department !== undefined && {
      department: input.department === null ? null : label(input.department, 'department', 'input.department'),
    }),
    ...(typeof input.isActive === 'boolean' && { isActive: input.isActive }),
  };
}
