/**
 * Writing the audit trail. A row is written in the transaction of what it records, and carries a SHA-256 over its
 * content and the hash of the row before it, so that a change or a gap anywhere shows.
 */
import { createHash, randomUUID } from 'node:crypto';
import type { CallerIdentity } from '../../core/protocol/caller.ts';
import type { JsonValue } from '../../core/model.ts';
import { canonicalJson } from '../../core/protocol/canonical-json.ts';
import { Prisma } from '../../prisma/generated/client.ts';

export const AUDIT_ACTIONS = [
  'CREATE_FLAG', 'UPDATE_FLAG', 'DELETE_FLAG', 'ARCHIVE_FLAG', 'CREATE_RULE', 'UPDATE_RULE', 'DELETE_RULE', 'KILL_SWITCH',
  'ENABLE_FLAG', 'DISABLE_FLAG', 'RELEASE_KILL_SWITCH', 'SIGN_IN', 'SIGN_IN_FAILED', 'REGISTER_VEHICLES',
  'ISSUE_VEHICLE_TOKEN', 'CREATE_USER', 'UPDATE_USER', 'CREATE_EXPERIMENT', 'UPDATE_EXPERIMENT',
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

/** The hash of one row: SHA-256, in hexadecimal, over `<hash of the row before>\n<content as RFC 8785 canonical JSON>`. */
export function auditHash(previousHash: string, content: HashedContent): string {
  return createHash('sha256').update(`${previousHash}\n${canonicalJson(content)}`).digest('hex');
}

/** Far more than browsers send; keeps a hostile header out of the trail. */
const MAX_USER_AGENT = 500;

/**
 * Appends one row. Takes the lock on the chain's head until the transaction ends, so call it last in a transaction.
 */
export async function appendAudit(tx: Prisma.TransactionClient, identity: CallerIdentity, entry: AuditEntry): Promise<void> {
  const [head] = await tx.$queryRaw<{ position: bigint; hash: string }[]>`SELECT position, hash FROM audit_chain WHERE id = 1 FOR UPDATE`;
  if (head === undefined) throw new Error('audit_chain has no head');
  const { caller, origin } = identity;
  const createdAt = new Date();
  const content: HashedContent = {
    id: randomUUID(),
    position: Number(head.position) + 1,
    userId: entry.userId ?? (caller.kind === 'user' ? caller.userId : null),
    apiKeyId: caller.kind === 'apiKey' ? caller.apiKeyId : null,
    flagId: entry.flagId ?? null,
    action: entry.action,
    beforeValue: entry.before ?? null,
    afterValue: entry.after ?? null,
    ipAddress: origin.ipAddress,
    userAgent: origin.userAgent?.slice(0, MAX_USER_AGENT) ?? null,
    requestId: origin.requestId,
    createdAt: createdAt.toISOString(),
  };
  const hash = auditHash(head.hash, content);
  const { position, beforeValue, afterValue, ...columns } = content;
  await tx.auditLog.create({
    data: {
      ...columns,
      createdAt,
      beforeValue: beforeValue === null ? Prisma.DbNull : (beforeValue as Prisma.InputJsonValue),
      afterValue: afterValue === null ? Prisma.DbNull : (afterValue as Prisma.InputJsonValue),
      chainPosition: position,
      previousHash: head.hash,
      hash,
    },
  });
  await tx.auditChain.update({ where: { id: 1 }, data: { position, hash } });
}
