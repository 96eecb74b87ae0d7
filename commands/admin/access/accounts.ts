/**
 * `npm run admin -- create-user` and `reset-password`: accounts, without a session. Generated passwords are printed
 * once.
 */
import { parseArgs } from 'node:util';
import { ROLES } from '../../../core/access/caller.ts';
import { Accounts } from '../../../subgraphs/audit/accounts/accounts.ts';
import { Passwords, generatePassword } from '../../../subgraphs/audit/sessions/passwords.ts';
import { Sessions } from '../../../subgraphs/audit/sessions/sessions.ts';
import { databaseClock } from '../../../subgraphs/flags/rollouts/database-clock.ts';
import { planEnding } from '../../../subgraphs/flags/changes/requests/end-plans.ts';
import { RolloutTransitions } from '../../../subgraphs/flags/rollouts/rollout-transitions.ts';
import { createInProcessStore, type KeyValueStore } from '../../../subgraphs/shared/stores/key-value-store.ts';
import { openAll } from '../../../main/process/lifecycle.ts';
import type { Configuration } from '../../../main/configuration.ts';
import { createLogger } from '../../../main/process/log.ts';
import { openCache } from '../../../main/stores/cache.ts';
import { withAdminDatabase } from '../admin-database.ts';
import { readArguments, type AdminCommand, type Output } from '../command.ts';
import { operatorOnServer } from '../operator.ts';

/** The help text of `create-user`. */
export const CREATE_USER_USAGE = `npm run admin -- create-user --email EMAIL --name NAME --role ${ROLES.join('|')} [--department DEPARTMENT]
    Makes an account and prints its password, once.`;

/** The help text of `reset-password`. */
export const RESET_PASSWORD_USAGE = `npm run admin -- reset-password --email EMAIL
    Gives an account a new password and prints it, once. Ends all sessions of the account.`;

function required(values: Readonly<Record<string, string | undefined>>, name: string): string {
  const value = values[name];
  if (value === undefined || value.trim() === '') throw new Error(`--${name} is missing.`);
  return value;
}

/** Calls `use` with the control plane's accounts, whose sessions are in `store`. */
async function withAccounts<T>(
  configuration: Configuration,
  output: Output,
  store: KeyValueStore,
  use: (accounts: Accounts) => Promise<T>,
): Promise<T> {
  const passwords = await Passwords.create();
  return withAdminDatabase(configuration, output, (prisma) =>
    use(new Accounts(prisma, new Sessions(store), passwords, planEnding(new RolloutTransitions(databaseClock)))),
  );
}

/** Runs `create-user`. Exit codes: 0 done, 1 failed, 2 wrong usage. */
export const createUserCommand: AdminCommand = async (args, configuration, output) => {
  const input = readArguments(CREATE_USER_USAGE, () => {
    const { values } = parseArgs({
      args: [...args],
      options: {
        email: { type: 'string' },
        name: { type: 'string' },
        role: { type: 'string' },
        department: { type: 'string' },
      },
    });
    const role = ROLES.find((known) => known === values.role?.toUpperCase());
    if (role === undefined) throw new Error(`--role must be one of ${ROLES.join(', ')}.`);
    return {
      email: required(values, 'email'),
      name: required(values, 'name'),
      role,
      department: values.department ?? null,
    };
  });
  const password = generatePassword();
  // A new account has no sessions yet, so this needs no shared store.
  const user = await withAccounts(configuration, output, createInProcessStore(), (accounts) =>
    accounts.create(operatorOnServer(), { ...input, password }),
  );
  output.out(`Created: ${user.email} (${user.role})`);
  output.out(`Password, shown only this once: ${password}`);
  return 0;
};

/** Runs `reset-password`. Exit codes: 0 done, 1 failed, 2 wrong usage. */
export const resetPasswordCommand: AdminCommand = async (args, configuration, output) => {
  const email = readArguments(RESET_PASSWORD_USAGE, () =>
    required(parseArgs({ args: [...args], options: { email: { type: 'string' } } }).values, 'email'),
  );
  const password = generatePassword();
  const user = await openAll(async (lifecycle) => {
    // Without Redis the control plane keeps sessions in its memory, and ends them when it reads the audit row.
    const { store } = await openCache(configuration, lifecycle, createLogger(configuration.logLevel));
    const account = await withAccounts(configuration, output, store, (accounts) =>
      accounts.resetPassword(operatorOnServer(), email, password),
    );
    await lifecycle.close();
    return account;
  });
  output.out(`New password of ${user.email}, shown only this once: ${password}`);
  return 0;
};
