/** `npm run admin -- api-key`: creates, lists and revokes partners' keys, without a session. */
import { parseArgs } from 'node:util';
import { ROLES, type Role } from '../../../core/access/caller.ts';
import type { ApiKey } from '../../../subgraphs/audit/api-keys/api-key.ts';
import { ApiKeyService } from '../../../subgraphs/audit/api-keys/api-key-service.ts';
import { isUuid } from '../../../core/wire/api/pagination.ts';
import { withAdminDatabase } from '../admin-database.ts';
import { UsageError, readArguments, type AdminCommand } from '../command.ts';
import { operatorOnServer } from '../operator.ts';

/** The help text of `api-key`. */
export const API_KEY_USAGE = `npm run admin -- api-key --name NAME --role READ|WRITE|ADMIN [--rate-limit PER_MINUTE] [--expires ISO_TIME] [--operation ID]…
npm run admin -- api-key --list
npm run admin -- api-key --revoke ID|PREFIX
    Makes an API key and prints it, once; lists the keys; revokes one.`;

type Wanted =
  | { readonly do: 'list' }
  | { readonly do: 'revoke'; readonly which: string }
  | {
      readonly do: 'create';
      readonly name: string;
      readonly role: Role;
      readonly rateLimitPerMin: number | null;
      readonly expiresAt: Date | null;
      readonly operations: readonly string[];
    };

/** The zone is required: a key that expires hours earlier or later than intended would be noticed too late. */
const ISO_TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d{1,3})?)?(Z|[+-]\d\d:\d\d)$/;

function read(args: readonly string[]): Wanted {
  const text = { type: 'string' } as const;
  const { values } = parseArgs({
    args: [...args],
    options: {
      name: text,
      role: text,
      'rate-limit': text,
      expires: text,
      operation: { ...text, multiple: true },
      revoke: text,
      list: { type: 'boolean' },
    },
  });
  const { name, role: givenRole, 'rate-limit': rateLimit, expires, operation, revoke, list } = values;
  if ([name, revoke, list].filter((value) => value !== undefined).length !== 1)
    throw new Error('One of --name, --list and --revoke is required.');
  if (name === undefined && [givenRole, rateLimit, expires, operation].some((value) => value !== undefined))
    throw new Error('--role, --rate-limit, --expires and --operation require --name.');
  if (revoke !== undefined) return { do: 'revoke', which: revoke };
  if (name === undefined) return { do: 'list' };
  const role = ROLES.find((known) => known === givenRole?.toUpperCase());
  if (role === undefined) throw new Error('--role must be READ, WRITE or ADMIN.');
  if (rateLimit !== undefined && !/^\d{1,7}$/.test(rateLimit)) throw new Error('--rate-limit must be a whole number.');
  const expiresAt = expires === undefined ? null : new Date(expires);
  if (expires !== undefined && (!ISO_TIME.test(expires) || Number.isNaN(expiresAt?.getTime())))
    throw new Error('--expires must be a time such as 2030-12-31T23:59:59Z.');
  return {
    do: 'create',
    name,
    role,
    rateLimitPerMin: rateLimit === undefined ? null : Number(rateLimit),
    expiresAt,
    operations: operation ?? [],
  };
}

function lineOf({ id, keyPrefix, name, role, rateLimitPerMin, isActive, expiresAt, lastUsedAt }: ApiKey): string {
  const expired = expiresAt !== null && expiresAt <= new Date();
  const state = !isActive ? 'revoked' : expired ? 'expired' : 'active';
  return [
    id,
    keyPrefix,
    role,
    `${rateLimitPerMin}/min`,
    state,
    `expires ${expiresAt?.toISOString() ?? 'never'}`,
    `used ${lastUsedAt?.toISOString() ?? 'never'}`,
    name,
  ].join('  ');
}

/** Gives the id of the key that `which` names. Throws UsageError for a prefix of no or several active keys. */
async function meant(apiKeys: ApiKeyService, which: string): Promise<string> {
  if (isUuid(which)) return which;
  const found = (await apiKeys.list()).filter(({ keyPrefix, isActive }) => isActive && keyPrefix === which);
  const [one] = found;
  if (one === undefined) throw new UsageError(`No active API key begins with ${which}.`);
  if (found.length > 1)
    throw new UsageError(`Several API keys begin with ${which}; name one by its id:\n${found.map(lineOf).join('\n')}`);
  return one.id;
}

/** Runs `api-key`. Exit codes: 0 done, 1 failed, 2 wrong usage. */
export const apiKeyCommand: AdminCommand = async (args, configuration, output) => {
  const wanted = readArguments(API_KEY_USAGE, () => read(args));
  await withAdminDatabase(configuration, output, async (prisma) => {
    const apiKeys = new ApiKeyService(prisma);
    if (wanted.do === 'list') return (await apiKeys.list()).forEach((key) => output.out(lineOf(key)));
    if (wanted.do === 'revoke')
      return output.out(
        `Revoked: ${lineOf(await apiKeys.revoke(operatorOnServer(), await meant(apiKeys, wanted.which)))}`,
      );
    const { apiKey, key } = await apiKeys.create(operatorOnServer(), wanted);
    output.out(`Created: ${lineOf(apiKey)}`);
    output.out(`Key, shown only this once: ${key}`);
  });
  return 0;
};
