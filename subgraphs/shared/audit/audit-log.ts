/**
 * Writes the audit log. A row is written in the transaction of the change that it records. It carries a SHA-256 hash
 * over its content and the previous row's hash, so that any change or gap shows.
 */
import { createHash, randomUUID } from 'node:crypto';
import { isIP } from 'node:net';
import { FleetFlagError } from '../../../core/errors.ts';
import { actingUser, type CallerIdentity } from '../../../core/access/caller.ts';
import type { JsonValue } from '../../../core/model.ts';
import { canonicalJson } from '../../../core/json/canonical-json.ts';
import type { Transaction } from '../postgres/transaction.ts';
import { is } from '../../../core/json/shape.ts';
import { rowBatches } from '../postgres/row-batches.ts';
import { rowsOf } from '../postgres/rows.ts';
import { notifyOfActs } from '../webhooks/audited-events.ts';

/** The actions that the audit log knows. Names are stored, so none may be renamed. */
export const AUDIT_ACTIONS = [
  'CREATE_FLAG',
  'UPDATE_FLAG',
  'DELETE_FLAG',
  'ARCHIVE_FLAG',
  'CREATE_RULE',
  'UPDATE_RULE',
  'DELETE_RULE',
  'KILL_SWITCH',
  'ENABLE_FLAG',
  'DISABLE_FLAG',
  'RELEASE_KILL_SWITCH',
  'SIGN_IN',
  'SIGN_IN_FAILED',
  'REGISTER_VEHICLES',
  'ISSUE_VEHICLE_TOKEN',
  'CREATE_USER',
  'UPDATE_USER',
  'CREATE_EXPERIMENT',
  'UPDATE_EXPERIMENT',
  'REQUEST_CHANGE',
  'APPROVE_CHANGE',
  'REJECT_CHANGE',
  'CANCEL_CHANGE',
  'SCHEDULE_ROLLOUT',
  'PAUSE_ROLLOUT',
  'RESUME_ROLLOUT',
  'CANCEL_ROLLOUT',
  'SIGN_OUT',
  'CHANGE_PASSWORD',
  'CREATE_API_KEY',
  'REVOKE_API_KEY',
  'REGISTER_OPERATIONS',
  'DETACH_PARTITION',
  'REVOKE_VEHICLE_TOKENS',
  'SET_MAINTENANCE',
  'START_EXPERIMENT',
  'COMPLETE_EXPERIMENT',
  'CANCEL_EXPERIMENT',
  'GUARD_ROLLOUT',
  'ADVANCE_REVISION',
  'DEFINE_METRIC',
  'RESTORE_FLAG',
  'UNARCHIVE_FLAG',
  'CREATE_WEBHOOK',
  'UPDATE_WEBHOOK',
  'DELETE_WEBHOOK',
  'DISABLE_WEBHOOK',
  'ROTATE_WEBHOOK_SECRET',
  'TEST_WEBHOOK',
  'REPLAY_WEBHOOK',
  'REORDER_RULES',
  'REMOVE_OPERATIONS',
  'SAVE_SEGMENT',
  'DELETE_SEGMENT',
  'TAG_VEHICLES',
  'REFRESH_SEGMENT',
  'SET_RELEASE_POLICY',
  'PROPOSE_RELEASE_POLICY',
  'REJECT_RELEASE_POLICY',
  'ADVANCE_RELEASE',
  'PROMOTE_RELEASE',
  'HALT_RELEASE',
  'COMPLETE_RELEASE',
  'ADD_RELEASE_GUARDS',
] as const;
/** One of `AUDIT_ACTIONS`. */
export type AuditAction = (typeof AUDIT_ACTIONS)[number];

/** A row to append to the audit log, without its position, time and hash. */
export interface AuditEntry {
  readonly action: AuditAction;
  readonly flagId?: string | null;
  /** The state before and after the change. Never contains a password, key or token. */
  readonly before?: JsonValue;
  readonly after?: JsonValue;
  /** The acting user, where the caller's identity does not name one (a sign-in). */
  readonly userId?: string | null;
}

/** The content that a row's hash covers, beside the previous row's hash. Times are ISO 8601 with milliseconds. */
export interface HashedContent {
  readonly id: string;
  /** The entry's position in the chain, from 1. */
  readonly position: number;
  readonly userId: string | null;
  readonly apiKeyId: string | null;
  readonly flagId: string | null;
  readonly action: string;
  readonly beforeValue: JsonValue;
  readonly afterValue: JsonValue;
  readonly ipAddress: string | null;
  readonly userAgent: string | null;
  readonly requestId: string | null;
  readonly createdAt: string;
}

/**
 * Computes the hash of one row: SHA-256, in hexadecimal, over `<previous row's hash>\n<content as RFC 8785 canonical
 * JSON>`.
 */
export function auditHash(previousHash: string, content: HashedContent): string {
  return createHash('sha256')
    .update(`${previousHash}\n${canonicalJson(content)}`)
    .digest('hex');
}

/** The bus channel that announces new rows of the audit log. Messages are empty. */
export const AUDIT_LOG_APPENDED = 'trail-appended';

/**
 * The most characters of a user agent that are stored. Browsers send far fewer; the limit keeps a hostile header out of
 * the audit log.
 */
const MAX_USER_AGENT = 500;

/** Gives the text as PostgreSQL will return it: without characters that it cannot store, and cut between characters. */
function storableText(text: string): string {
  return Array.from(text, (character) => (/\0|\p{Surrogate}/u.test(character) ? '\uFFFD' : character))
    .slice(0, MAX_USER_AGENT)
    .join('');
}

/**
 * Gives the address as PostgreSQL accepts it, or null. It knows no zones (`fe80::1%eth0`), and an odd address must not
 * stop a change.
 */
function storableAddress(address: string | null): string | null {
  const [bare = ''] = (address ?? '').split('%');
  return isIP(bare) === 0 ? null : bare;
}

/** A row with the hashes of the row before it and of its own. */
interface ChainedRow extends HashedContent {
  readonly previousHash: string;
  readonly hash: string;
}

/**
 * Appends one row, and notifies webhooks of it. Locks the chain's head until the transaction ends, so call it last in a
 * transaction.
 */
export function appendAudit(tx: Transaction, identity: CallerIdentity, entry: AuditEntry): Promise<void> {
  return appendAuditRows(tx, identity, [entry]);
}

/**
 * Appends rows in this order, as `appendAudit` appends each. All others wait while the chain's head is locked, so a
 * change of thousands of flags appends its rows with a few statements.
 */
export async function appendAuditRows(
  tx: Transaction,
  identity: CallerIdentity,
  entries: readonly AuditEntry[],
): Promise<void> {
  if (entries.length === 0) return;
  const { caller, origin } = identity;
  const apiKeyId = caller.kind === 'apiKey' ? caller.apiKeyId : null;
  const acts = entries.map(({ action, flagId = null, before = null, after = null, userId }) => ({
    ...{ action, flagId, before, after, userId: userId ?? actingUser(caller) },
  }));
  // Before the chain's head is locked, for which all others wait.
  await notifyOfActs(
    tx,
    acts.map(({ action, flagId, after, userId }) => ({ action, flagId, after, userId, apiKeyId })),
  );
  // PostgreSQL may spell the address differently, and the hash must cover what will be read again. The time comes from
  // the database, the same clock for all writers, and is never earlier than the last row's, so that each month is one
  // unbroken piece of the chain.
  const [head] = await rowsOf(tx, {
    position: is.bigint,
    hash: is.string,
    address: is.nullable(is.string),
    createdAt: is.date,
    isReady: is.boolean,
  })`
    SELECT position, hash, host(${storableAddress(origin.ipAddress)}::inet) AS address, due.at AS "createdAt",
           EXISTS (SELECT FROM pg_inherits WHERE inhparent = 'audit_logs'::regclass AND inhrelid = to_regclass('audit_logs_' || to_char(due.at AT TIME ZONE 'UTC', 'YYYY_MM'))) AS "isReady"
    FROM audit_chain, LATERAL (SELECT GREATEST(date_trunc('milliseconds', clock_timestamp()), last_at) AS at) AS due WHERE id = 1 FOR UPDATE OF audit_chain`;
  if (head === undefined) throw new Error('audit_chain has no head');
  if (!head.isReady) await makePartition(tx, head.createdAt);
  let previousHash = head.hash;
  const rows = acts.map(({ action, flagId, before, after, userId }, index): ChainedRow => {
    const content: HashedContent = {
      ...{ id: randomUUID(), position: Number(head.position) + 1 + index, userId, apiKeyId, flagId, action },
      ...{ beforeValue: before, afterValue: after, ipAddress: head.address },
      userAgent: origin.userAgent === null ? null : storableText(origin.userAgent),
      requestId: origin.requestId.toLowerCase(),
      createdAt: head.createdAt.toISOString(),
    };
    const row = { ...content, previousHash, hash: auditHash(previousHash, content) };
    previousHash = row.hash;
    return row;
  });
  for (const batch of rowBatches(rows)) await insertRows(tx, batch, head.createdAt);
}

/** Inserts rows that follow each other, and makes the last one the chain's head. */
async function insertRows(tx: Transaction, rows: readonly ChainedRow[], createdAt: Date): Promise<void> {
  const [first, last] = [rows[0], rows.at(-1)];
  if (first === undefined || last === undefined) return;
  // JSON is passed as text, because Prisma rounds a number that stands alone (it stores 0.1 + 0.2 as 0.3).
  const json = (value: JsonValue) => (value === null ? null : canonicalJson(value));
  const { apiKeyId, ipAddress, userAgent, requestId } = first;
  await tx.$executeRaw`
    WITH entries AS (
      INSERT INTO audit_logs (id, user_id, api_key_id, flag_id, action, before_value, after_value, ip_address, user_agent, request_id, created_at, chain_position, previous_hash, hash)
      SELECT id, user_id, ${apiKeyId}::uuid, flag_id, action, before_value::jsonb, after_value::jsonb,
             ${ipAddress}::inet, ${userAgent}, ${requestId}::uuid, ${createdAt}, chain_position, previous_hash, hash
      FROM unnest(
        ${rows.map(({ id }) => id)}::uuid[], ${rows.map(({ userId }) => userId)}::uuid[], ${rows.map(({ flagId }) => flagId)}::uuid[],
        ${rows.map(({ action }) => action)}::text[], ${rows.map(({ beforeValue }) => json(beforeValue))}::text[],
        ${rows.map(({ afterValue }) => json(afterValue))}::text[], ${rows.map(({ position }) => position)}::bigint[],
        ${rows.map((row) => row.previousHash)}::text[], ${rows.map(({ hash }) => hash)}::text[]
      ) AS given (id, user_id, flag_id, action, before_value, after_value, chain_position, previous_hash, hash)
    )
    UPDATE audit_chain SET position = ${last.position}, hash = ${last.hash}, last_at = ${createdAt} WHERE id = 1`;
}

/**
 * Creates the partition of the row's month where it is missing: the database's clock may be past the partitions made
 * ahead of time. This happens before the row is written, because a failed write aborts the whole transaction.
 *
 * @throws FleetFlagError SERVICE_UNAVAILABLE when it cannot be created
 */
async function makePartition(tx: Transaction, at: Date): Promise<void> {
  let cause: unknown;
  try {
    const [row] = await rowsOf(tx, {
      isReady: is.boolean,
    })`SELECT ready_audit_log_partition(${at}::timestamptz) AS "isReady"`;
    if (row?.isReady === true) return;
    cause = new Error(`audit_logs has no partition for ${at.toISOString()}: another table has its name`);
  } catch (error) {
    cause = error;
  }
  throw new FleetFlagError(
    'SERVICE_UNAVAILABLE',
    'Nothing can be changed at the moment: the audit log has no partition for this month. A retry is safe.',
    {},
    { cause },
  );
}
