/** Registration of operations that clients run by id, and their lookup. */
import { FleetFlagError, badInput } from '../../../core/errors.ts';
import { actingUser, type CallerIdentity } from '../../../core/access/caller.ts';
import type { PrismaClient } from '../../../prisma/generated/client.ts';
import { appendAudit } from '../../shared/audit/audit-log.ts';
import type { Transaction } from '../../shared/postgres/transaction.ts';
import { isUuid } from '../../../core/wire/api/pagination.ts';
import { findApiKeys } from '../api-keys/api-key-store.ts';
import {
  MAX_OPERATIONS,
  idField,
  readOperationManifest,
  type CheckOperation,
  type PersistedOperation,
} from './persisted-operation.ts';
import {
  bindOperations,
  findOperation,
  findOperations,
  insertOperations,
  keysOfOperations,
  listOperations,
  removeOperations,
  reviveOperations,
  type BoundOperation,
} from './persisted-operation-store.ts';

/** The use cases of persisted operations. */
export class PersistedOperationService {
  constructor(
    private readonly prisma: PrismaClient,
    private readonly check: CheckOperation,
  ) {}

  /**
   * Registers a manifest's operations, all or none, and gives them in its order. Operations that are already registered
   * stay as they are; when all are, no audit row is written.
   *
   * @param apiKeys ids of the keys to which all of them are bound, beside their existing bindings; null: none
   * @throws NOT_FOUND at `apiKeys.…`; BAD_USER_INPUT, LIMIT_EXCEEDED with the path of the fault; CONFLICT when an id
   * already has another body: gateways and clients rely on an id always meaning the same text
   */
  async register(
    identity: CallerIdentity,
    manifest: unknown,
    apiKeys: readonly string[] | null = null,
  ): Promise<PersistedOperation[]> {
    if (apiKeys?.length === 0)
      throw badInput('apiKeys', 'Name at least one API key, or omit apiKeys so that every key may run the operations.');
    const operations = await readOperationManifest(manifest, this.check);
    const { caller } = identity;
    return this.prisma.$transaction(async (tx) => {
      const ids = operations.map(({ id }) => id);
      const inserted = await insertOperations(tx, operations, actingUser(caller));
      // One that comes back with another text is refused below, and stays removed.
      const added = new Set([...inserted, ...(await reviveOperations(tx, ids, actingUser(caller)))]);
      const registered = await findOperations(tx, ids);
      const result = operations.map(({ id, body }, index) => {
        const present = registered.get(id);
        if (present?.body === body) return present;
        throw new FleetFlagError('CONFLICT', `${id} is already registered with another body; choose another id.`, {
          field: idField(manifest, index, id),
        });
      });
      const bound = apiKeys === null ? 0 : await this.#bind(tx, ids, apiKeys);
      if (added.size > 0 || bound > 0) {
        const after = operations
          .filter(({ id }) => added.has(id))
          .map(({ id, name, sha256 }) => ({ id, name, sha256 }));
        await appendAudit(tx, identity, {
          action: 'REGISTER_OPERATIONS',
          after: {
            operations: after,
            ...(apiKeys !== null && { bound: operations.map(({ id }) => id), apiKeys: [...apiKeys] }),
          },
        });
      }
      return result;
    });
  }

  /**
   * Removes operations, all or none, with their bindings to keys. Nobody can run them from then on: keys within 4
   * seconds, others within a minute, on every gateway. What runs already goes on. An id keeps its text, which may be
   * registered again.
   *
   * @throws NOT_FOUND at `ids.<index>`; BAD_USER_INPUT at `ids` for none, and LIMIT_EXCEEDED for more than 1,000
   */
  async remove(identity: CallerIdentity, ids: readonly string[]): Promise<PersistedOperation[]> {
    if (ids.length === 0) throw badInput('ids', 'Name at least one operation.');
    if (ids.length > MAX_OPERATIONS)
      throw new FleetFlagError('LIMIT_EXCEEDED', `At most ${MAX_OPERATIONS} operations are removed at once.`, {
        field: 'ids',
        limit: MAX_OPERATIONS,
      });
    return this.prisma.$transaction(async (tx) => {
      const found = await findOperations(tx, ids);
      const removed = await removeOperations(tx, ids);
      const operations = ids.map((id, index) => {
        const operation = found.get(id);
        if (operation !== undefined && removed.has(id)) return operation;
        throw new FleetFlagError('NOT_FOUND', `No operation ${JSON.stringify(id)} is registered.`, {
          field: `ids.${index}`,
        });
      });
      const before = [...new Set(operations)].map(({ id, name, sha256 }) => ({ id, name, sha256 }));
      await appendAudit(tx, identity, { action: 'REMOVE_OPERATIONS', before: { operations: before } });
      return operations;
    });
  }

  async #bind(tx: Transaction, ids: readonly string[], apiKeys: readonly string[]): Promise<number> {
    const known = new Set((await findApiKeys(tx, apiKeys.filter(isUuid))).map(({ id }) => id));
    const unknown = apiKeys.findIndex((id) => !known.has(id.toLowerCase()));
    if (unknown >= 0)
      throw new FleetFlagError('NOT_FOUND', 'This API key does not exist.', { field: `apiKeys.${unknown}` });
    return bindOperations(
      tx,
      ids,
      apiKeys.map((id) => id.toLowerCase()),
    );
  }

  /** Lists all operations, newest first. */
  list(): Promise<PersistedOperation[]> {
    return listOperations(this.prisma);
  }

  /** Gives the operation with this id or, without an id, this SHA-256; null when there is none. */
  async find(id: string | null, sha256: string | null): Promise<BoundOperation | null> {
    if (id !== null) return findOperation(this.prisma, { id });
    if (sha256 === null) throw badInput('id', 'Expected an id or a SHA-256.');
    return findOperation(this.prisma, { sha256 });
  }

  /** Gives the keys to which each operation is bound; unbound operations are left out. */
  keysOf(ids: readonly string[]): Promise<Map<string, string[]>> {
    return keysOfOperations(this.prisma, ids);
  }
}
