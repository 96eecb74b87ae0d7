/**
 * Writing the audit trail. A row is written in the transaction of what it records, and carries a SHA-256 over its
 * content and the hash of the row before it, so that a change or a gap anywhere shows.
 */
import { createHash, randomUUID } from 'node:crypto';
import { isIP } from 'node:net';
import { FleetFlagError } from '../../../core/errors.ts';
import { actingUser, type CallerIdentity } from '../../../core/access/caller.ts';
import type { JsonValue } from '../../../core/model.ts';
import { canonicalJson } from '../../../core/json/canonical-json.ts';
import type { Transaction } from '../postgres/transaction.ts';

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
] as const;
export type AuditAction = (typeof AUDIT_ACTIONS)[number];

export interface AuditEntry {
  readonly action: AuditAction;
  readonly flagId?: string | null;
  /** What was and what is; never a password, key or token. */
  readonly before?: JsonValue;
  readonly after?: JsonValue;
  /** Who did it, where the identity does not say (a sign-in). */
  readonly userId?: string | null;
}

/** What a row's hash is over, beside the hash of the row before. Times are ISO 8601 with milliseconds. */
export interface HashedContent {
  readonly id: string;
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
 * The hash of one row: SHA-256, in hexadecimal, over `<hash of the row before>\n<content as RFC 8785 canonical JSON>`.
 */
export function auditHash(previousHash: string, content: HashedContent): string {
  return createHash('sha256')
    .update(`${previousHash}\n${canonicalJson(content)}`)
    .digest('hex');
}

/** The bus channel that says that the trail has grown, for whoever follows it; the message is empty. */
export const TRAIL_APPENDED = 'trail-appended';

/** In characters. Far more than browsers send; keeps a hostile header out of the trail. */
const MAX_USER_AGENT = 500;

/** The text that PostgreSQL gives back when it is read again: without what it cannot store, cut between characters. */
function storableText(text: string): string {
  return Array.from(text, (character) => (/\0|\p{Surrogate}/u.test(character) ? '\uFFFD' : character))
    .slice(0, MAX_USER_AGENT)
    .join('');
}

/**
 * What PostgreSQL takes for an address, or null: it knows no zones (`fe80::1%eth0`), and an odd address must not stop a
 * change.
 */
function storableAddress(address: string | null): string | null {
  const [bare = ''] = (address ?? '').split('%');
  return isIP(bare) === 0 ? null : bare;
}

/**
 * Appends one row. Takes the lock on the chain's head until the transaction ends, so call it last in a transaction.
 */
export async function appendAudit(tx: Transaction, identity: CallerIdentity, entry: AuditEntry): Promise<void> {
  const { caller, origin } = identity;
  // The address comes back in PostgreSQL's spelling: the hash must be over what will be read again. The time is the
  // database's, for all writers, and never before the last row's: a month is one piece of the chain.
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
  // As text, because Prisma's own way with JSON rounds a number that stands alone (0.1 + 0.2 is stored as 0.3).
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
 * Makes the partition of a row's month where it is missing: the database's clock may be past what is made ahead. Before
 * the row is written, because a write that fails takes its whole transaction with it.
 *
 * @throws FleetFlagError SERVICE_UNAVAILABLE where it cannot be made
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
    'Nothing can be changed at present: the audit trail has no place for this month. A retry is safe.',
    {},
    { cause },
  );
}
