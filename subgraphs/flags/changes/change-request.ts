/**
 * Change requests and their table. A change request is a change of an ASIL-D flag that waits, or waited, for a second
 * person.
 */
import { randomUUID } from 'node:crypto';
import type { JsonObject, JsonValue } from '../../../core/model.ts';
import { Prisma } from '../../../prisma/generated/client.ts';
import { AUDIT_ACTIONS, type AuditAction } from '../../shared/audit/audit-log.ts';
import { prepared } from '../../shared/postgres/prepared-statements.ts';
import type { Reader, Transaction } from '../../shared/postgres/transaction.ts';
import { flagContent, type Flag } from '../flags/flag.ts';
import { oneOf, storedJson, storedObject } from '../../shared/postgres/column-values.ts';

/** The lifecycle of a change request; every status but `pending` is final. */
export const CHANGE_REQUEST_STATUSES = ['pending', 'approved', 'rejected', 'cancelled'] as const;
export type ChangeRequestStatus = (typeof CHANGE_REQUEST_STATUSES)[number];

/** A change request as it is stored. */
export interface ChangeRequest {
  readonly id: string;
  readonly flagId: string;
  /** The action under which the audit log will record the change. */
  readonly action: AuditAction;
  /** The flag's revision on which the change is based; it can be applied to no other. */
  readonly flagRevision: number;
  /** The part of the flag that a reviewer sees; `proposed` is the flag's whole future content. */
  readonly before: JsonValue;
  readonly after: JsonValue;
  readonly proposed: JsonObject;
  /** Whether the change may disturb a running experiment. */
  readonly force: boolean;
  readonly status: ChangeRequestStatus;
  readonly requestedById: string;
  readonly reviewedById: string | null;
  readonly comment: string | null;
  readonly createdAt: Date;
  readonly reviewedAt: Date | null;
}

type Row = Omit<Prisma.ChangeRequestGetPayload<object>, 'updatedAt'>;

const COLUMNS = Prisma.sql`id, flag_id AS "flagId", action, flag_revision AS "flagRevision", before_value AS "beforeValue", after_value AS "afterValue", proposed, force, status,
  requested_by AS "requestedById", reviewed_by AS "reviewedById", comment, created_at AS "createdAt", reviewed_at AS "reviewedAt"`;

/** The most requests in one list: far more than people can review. */
const MAX_LISTED = 500;

const readAction = oneOf('change_requests.action', AUDIT_ACTIONS);
const readStatus = oneOf('change_requests.status', CHANGE_REQUEST_STATUSES);

function toChangeRequest(row: Row): ChangeRequest {
  return {
    id: row.id,
    flagId: row.flagId,
    action: readAction(row.action),
    flagRevision: Number(row.flagRevision),
    before: storedJson(row.beforeValue),
    after: storedJson(row.afterValue),
    proposed: storedObject('change_requests.proposed', row.proposed),
    force: row.force,
    status: readStatus(row.status),
    requestedById: row.requestedById,
    reviewedById: row.reviewedById,
    comment: row.comment,
    createdAt: row.createdAt,
    reviewedAt: row.reviewedAt,
  };
}

const nullable = (value: JsonValue) => (value === null ? Prisma.DbNull : value);

/** Stores a change for review: `edited` is the flag's proposed state, `flag` its current one. */
export async function insertChangeRequest(
  tx: Transaction,
  request: {
    flag: Flag;
    edited: Flag;
    action: AuditAction;
    force?: boolean;
    requestedById: string;
    before: JsonValue;
    after: JsonValue;
  },
): Promise<ChangeRequest> {
  const { flag, edited, action, force = false, requestedById, before, after } = request;
  const row = await tx.changeRequest.create({
    data: {
      id: randomUUID(),
      flagId: flag.id,
      action,
      flagRevision: flag.revision,
      beforeValue: nullable(before),
      afterValue: nullable(after),
      proposed: flagContent(edited),
      force,
      requestedById,
      createdAt: new Date(),
    },
  });
  return toChangeRequest(row);
}

/** Locks the request's row until the transaction ends, so that it is decided only once. */
export async function lockChangeRequest(tx: Transaction, id: string): Promise<ChangeRequest | null> {
  await tx.$queryRaw`SELECT id FROM change_requests WHERE id = ${id}::uuid FOR UPDATE`;
  const row = await tx.changeRequest.findUnique({ where: { id } });
  return row === null ? null : toChangeRequest(row);
}

/** Writes the decision. A request that its requester cancels has no reviewer. */
export async function decideChangeRequest(
  tx: Transaction,
  id: string,
  decision: { status: Exclude<ChangeRequestStatus, 'pending'>; reviewedById: string | null; comment: string | null },
): Promise<ChangeRequest> {
  const at = new Date();
  return toChangeRequest(
    await tx.changeRequest.update({ where: { id }, data: { ...decision, reviewedAt: at, updatedAt: at } }),
  );
}

/** Locks the rows of all pending requests of a person, always in the same order. */
export async function lockPendingRequestsOf(tx: Transaction, requestedById: string): Promise<ChangeRequest[]> {
  const locked = await tx.$queryRaw<{ id: string }[]>`
    SELECT id FROM change_requests WHERE requested_by = ${requestedById}::uuid AND status = 'pending' ORDER BY id FOR UPDATE`;
  return findChangeRequestsById(
    tx,
    locked.map(({ id }) => id),
  );
}

/**
 * Locks the rows of a flag's pending requests. The caller holds the flag's lock, so no further request can be created.
 * Skips requests that another transaction has locked: it is waiting for the flag, and ends its request itself.
 */
export async function lockPendingRequestsFor(tx: Transaction, flagId: string): Promise<ChangeRequest[]> {
  const locked = await tx.$queryRaw<{ id: string }[]>`
    SELECT id FROM change_requests WHERE flag_id = ${flagId}::uuid AND status = 'pending' ORDER BY id FOR UPDATE SKIP LOCKED`;
  if (locked.length === 0) return [];
  return findChangeRequestsById(
    tx,
    locked.map(({ id }) => id),
  );
}

const withStatus = (status: ChangeRequestStatus | null) =>
  status === null ? Prisma.sql`true` : Prisma.sql`status = ${status}`;

/** Lists requests of one status, or of any (null), newest first; at most 500. */
export async function findChangeRequests(db: Reader, status: ChangeRequestStatus | null): Promise<ChangeRequest[]> {
  const rows = await db.$queryRaw<
    Row[]
  >`SELECT ${COLUMNS} FROM change_requests WHERE ${withStatus(status)} ORDER BY created_at DESC, id DESC LIMIT ${MAX_LISTED}`;
  return rows.map(toChangeRequest);
}

/** Lists requests as `findChangeRequests` does, of each of some flags, by the flags' ids. */
export async function findChangeRequestsOfFlags(
  db: Reader,
  flagIds: readonly string[],
  status: ChangeRequestStatus | null,
): Promise<Map<string, ChangeRequest[]>> {
  const rows = await db.$queryRaw<Row[]>`
    SELECT request.* FROM unnest(${[...flagIds]}::uuid[]) AS flag (id) CROSS JOIN LATERAL (
      SELECT ${COLUMNS} FROM change_requests WHERE flag_id = flag.id AND ${withStatus(status)} ORDER BY created_at DESC, id DESC LIMIT ${MAX_LISTED}
    ) AS request ORDER BY request."createdAt" DESC, request.id DESC`;
  const found = new Map<string, ChangeRequest[]>(flagIds.map((id) => [id, []]));
  for (const row of rows) found.get(row.flagId)?.push(toChangeRequest(row));
  return found;
}

/** Gives the requests with these ids; unknown ids are left out. */
export async function findChangeRequestsById(db: Reader, ids: readonly string[]): Promise<ChangeRequest[]> {
  const rows = await db.$queryRaw<Row[]>`${prepared('change_requests_by_id')}
    SELECT ${COLUMNS} FROM change_requests WHERE id = ANY(${[...ids]}::uuid[])`;
  return rows.map(toChangeRequest);
}
