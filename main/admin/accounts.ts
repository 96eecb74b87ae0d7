/** `npm run admin -- create-user` and `reset-password`: accounts, without a session. A password is generated and printed once. */
import { parseArgs } from 'node:util';
import { ROLES } from '../../core/protocol/caller.ts';
import { createAccount, resetPassword } from '../../subgraphs/audit/accounts.ts';
import { generatePassword } from '../../subgraphs/audit/passwords.ts';
import { withAdminDatabase } from './admin-database.ts';
import { readArguments, type AdminCommand } from './command.ts';
import { operatorOnServer } from './operator.ts';

export const CREATE_USER_USAGE = `npm run admin -- create-user --email EMAIL --name NAME --role ${ROLES.join('|')}
    Makes an account and prints its password, once.`;

export const RESET_PASSWORD_USAGE = `npm run admin -- reset-password --email EMAIL
    Gives an account a new password and prints it, once.`;

function required(values: Readonly<Record<string, string | undefined>>, name: string): string {
  const value = values[name];
  if (value === undefined || value.trim() === '') throw new Error(`--${name} is missing.`);
  return value;
}

/** Exit codes: 0, 1 failed, 2 usage. */
export const createUserCommand: AdminCommand = async (args, configuration, output) => {
  const input = readArguments(CREATE_USER_USAGE, () => {
    const { values } = parseArgs({ args: [...args], options: { email: { type: 'string' }, name: { type: 'string' }, role: { type: 'string' } } });
    const role = ROLES.find((known) => known === values.role?.toUpperCase());
    if (role === undefined) throw new Error(`--role takes ${ROLES.join(', ')}.`);
    return { email: required(values, 'email'), name: required(values, 'name'), role };
  });
  const password = generatePassword();
  const user = await withAdminDatabase(configuration, output, (prisma) => createAccount(prisma, operatorOnServer(), { ...input, password }));
  output.out(`Created: ${user.email} (${user.role})`);
  output.out(`Password, shown only this once: ${password}`);
  return 0;
};

/** Exit codes: 0, 1 failed, 2 usage. */
export const resetPasswordCommand: AdminCommand = async (args, configuration, output) => {
  const email = readArguments(RESET_PASSWORD_USAGE, () => required(parseArgs({ args: [...args], options: { email: { type: 'string' } } }).values, 'email'));
  const password = generatePassword();
  const user = await withAdminDatabase(configuration, output, (prisma) => resetPassword(prisma, operatorOnServer(), email, password));
  output.out(`New password of ${user.email}, shown only this once: ${password}`);
  return 0;
};
