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

/** Appends one row. Locks the chain's head until the transaction ends, so call it last in a transaction. */
export async function appendAudit(tx: Transaction, identity: CallerIdentity, entry: AuditEntry): Promise<void> {
  const { caller, origin } = identity;
  // PostgreSQL may spell the address differently, and the hash must cover what will be read again. The time comes from
  // the database, the same clock for all writers, and is never earlier than the last row's, so that each month is one
  // unbroken piece of the chain.
  const [head] = await tx.$queryRaw<
    { position: bigint; hash: string; address: string | null; createdAt: Date; isReady: boolean }[]
  >`
    SELECT position, hash, host(${storableAddress(origin.ipAddress)}::inet) AS address, due.at AS "createdAt",
           EXISTS (SELECT FROM pg_inherits WHERE inhparent = 'audit_logs'::regclass AND inhrelid = to_regclass('audit_logs_' || to_char(due.at AT TIME ZONE 'UTC', 'YYYY_MM'))) AS "isReady"
    FROM audit_chain, LATERAL (SELECT GREATEST(date_trunc('milliseconds', clock_timestamp()), last_at) AS at) AS due WHERE id = 1 FOR UPDATE OF audit_chain`;
  if (head === undefined) throw new Error('audit_chain has no head');
  const { createdAt } = head;
  if (!head.isReady) await makePartition(tx, createdAt);
  const content: HashedContent = {
    id: randomUUID(),
    position: Number(head.position) + 1,
    userId: entry.userId ?? actingUser(caller),
    apiKeyId: caller.kind === 'apiKey' ? caller.apiKeyId : null,
    flagId: entry.flagId ?? null,
    action: entry.action,
    beforeValue: entry.before ?? null,
    afterValue: entry.after ?? null,
    ipAddress: head.address,
    userAgent: origin.userAgent === null ? null : storableText(origin.userAgent),
    requestId: origin.requestId.toLowerCase(),
    createdAt: createdAt.toISOString(),
  };
  const hash = auditHash(head.hash, content);
  // JSON is passed as text, because Prisma rounds a number that stands alone (it stores 0.1 + 0.2 as 0.3).
  const json = (value: JsonValue) => (value === null ? null : canonicalJson(value));
  const { id, position, userId, apiKeyId, flagId, action, ipAddress, userAgent, requestId } = content;
  await tx.$executeRaw`
    WITH entry AS (
      INSERT INTO audit_logs (id, user_id, api_key_id, flag_id, action, before_value, after_value, ip_address, user_agent, request_id, created_at, chain_position, previous_hash, hash)
      VALUES (${id}::uuid, ${userId}::uuid, ${apiKeyId}::uuid, ${flagId}::uuid, ${action}, ${json(content.beforeValue)}::jsonb, ${json(content.afterValue)}::jsonb,
              ${ipAddress}::inet, ${userAgent}, ${requestId}::uuid, ${createdAt}, ${position}, ${head.hash}, ${hash})
    )
    UPDATE audit_chain SET position = ${position}, hash = ${hash}, last_at = ${createdAt} WHERE id = 1`;
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
    const [row] = await tx.$queryRaw<
      { isReady: boolean }[]
    >`SELECT ready_audit_log_partition(${at}::timestamptz) AS "isReady"`;
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
