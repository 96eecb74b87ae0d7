/** The use cases of API keys: creation, revocation and authentication. */
import { FleetFlagError } from '../../../core/errors.ts';
import { apiKeyHash, apiKeyPrefix, newApiKey, type ApiKeyCredential } from '../../../core/credentials/api-key.ts';
import { actingUser, type CallerIdentity } from '../../../core/access/caller.ts';
import type { PrismaClient } from '../../../prisma/generated/client.ts';
import { appendAudit } from '../../shared/audit/audit-log.ts';
import type { Transaction } from '../../shared/postgres/transaction.ts';
import { isUuid } from '../../../core/wire/api/pagination.ts';
import type { CreateApiKeyInput } from '../generated/resolvers.ts';
import { readApiKeyInput, type ApiKey } from './api-key.ts';
import { deactivateApiKey, findApiKeys, insertApiKey, listApiKeys, useApiKeys } from './api-key-store.ts';
import { bindOperations, findOperations } from '../persisted-operations/persisted-operation-store.ts';

/** Creates, revokes, lists and looks up API keys. */
export class ApiKeyService {
  constructor(private readonly prisma: PrismaClient) {}

  /**
   * Creates an API key. Gives its text in `key`, which is stored nowhere. A key outlives its creator's account, because
   * a partner's work must not stop when a person leaves.
   *
   * @throws BAD_USER_INPUT at `input.…`; NOT_FOUND at `input.operations.…`
   */
  async create({ caller, origin }: CallerIdentity, input: CreateApiKeyInput): Promise<{ apiKey: ApiKey; key: string }> {
    const wanted = readApiKeyInput(input, new Date());
    const key = newApiKey();
    const createdById = actingUser(caller);
    const apiKey = await this.prisma.$transaction(async (tx) => {
      const made = await insertApiKey(tx, { ...wanted, keyPrefix: apiKeyPrefix(key), createdById }, apiKeyHash(key));
      const { id, name, role, keyPrefix, rateLimitPerMin, expiresAt } = made;
      const operations = await bindTo(tx, id, input.operations ?? []);
      const after = {
        id,
        name,
        role,
        keyPrefix,
        rateLimitPerMin,
        expiresAt: expiresAt?.toISOString() ?? null,
        ...(operations.length > 0 && { operations }),
      };
      await appendAudit(tx, { caller, origin }, { action: 'CREATE_API_KEY', after });
      return made;
    });
    return { apiKey, key };
  }

  /**
   * Revokes a key for good; gateways learn of it from the audit log (ended-credentials.ts). Of concurrent revocations
   * one is recorded.
   *
   * @throws NOT_FOUND
   */
  async revoke(identity: CallerIdentity, id: string): Promise<ApiKey> {
    const unknown = new FleetFlagError('NOT_FOUND', 'This API key does not exist.', { field: 'id' });
    if (!isUuid(id)) throw unknown;
    return this.prisma.$transaction(async (tx) => {
      const revoked = await deactivateApiKey(tx, id);
      const [apiKey] = await findApiKeys(tx, [id]);
      if (apiKey === undefined) throw unknown;
      const { name, role, keyPrefix } = apiKey;
      if (revoked)
        await appendAudit(tx, identity, {
          action: 'REVOKE_API_KEY',
          before: { isActive: true },
          after: { id: apiKey.id, name, role, keyPrefix, isActive: false },
        });
      return apiKey;
    });
  }

  /** Lists all keys, newest first, revoked ones too. */
  list(): Promise<ApiKey[]> {
    return listApiKeys(this.prisma);
  }

  /** Gives keys by id; unknown ids are left out. */
  byId(ids: readonly string[]): Promise<ApiKey[]> {
    return findApiKeys(this.prisma, ids);
  }

  /** Gives the valid keys with these hashes (SHA-256, hexadecimal), and records their use. */
  use(hashes: readonly string[]): Promise<(ApiKeyCredential & { keyHash: string })[]> {
    return useApiKeys(this.prisma, hashes);
  }
}

/** Binds registered operations to a key. Gives their ids. */
async function bindTo(tx: Transaction, apiKeyId: string, wanted: readonly string[]): Promise<string[]> {
  const operations = [...new Set(wanted)];
  const known = await findOperations(tx, operations);
  const unknown = wanted.findIndex((id) => !known.has(id));
  if (unknown >= 0)
    throw new FleetFlagError('NOT_FOUND', `No operation is registered under ${JSON.stringify(wanted[unknown])}.`, {
      field: `input.operations.${unknown}`,
    });
  await bindOperations(tx, operations, [apiKeyId]);
  return operations;
}
