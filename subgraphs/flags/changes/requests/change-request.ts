/**
 * Change requests and their table. A change request is a change of an ASIL-D flag that waits, or waited, for a second
 * person.
 */
import { randomUUID } from 'node:crypto';
import type { JsonObject, JsonValue } from '../../../../core/model.ts';
import { Prisma } from '../../../../prisma/generated/client.ts';
import { FleetFlagError } from '../../../../core/errors.ts';
import { canonicalJson } from '../../../../core/json/canonical-json.ts';
import { isJsonObject } from '../../../../core/json/json-value.ts';
import { segmentsIn } from '../../../shared/between-subgraphs/segments.ts';
import { holdSegments } from '../../segments/segment.ts';
import { AUDIT_ACTIONS, type AuditAction } from '../../../shared/audit/audit-log.ts';
import { prepared } from '../../../shared/postgres/prepared-statements.ts';
import type { Reader, Transaction } from '../../../shared/postgres/transaction.ts';
import { flagContent, type Flag } from '../../flags/flag.ts';
import { oneOf, storedObject } from '../../../shared/postgres/column-values.ts';
import { is, type Shaped } from '../../../../core/json/shape.ts';
import { rowCount, rowsOf } from '../../../shared/postgres/rows.ts';

/** The lifecycle of a change request; every status but `pending` is final. */
const CHANGE_REQUEST_STATUSES = ['pending', 'approved', 'rejected', 'cancelled'] as const;
/** One of `CHANGE_REQUEST_STATUSES`. */
export type ChangeRequestStatus = (typeof CHANGE_REQUEST_STATUSES)[number];

/** The part of a change request that is about one flag. */
export interface RequestedChange {
  readonly flagId: string;
  /** The action under which the audit log will record the change. */
  readonly action: AuditAction;
  /** The flag's revision on which the change is based; it can be applied to no other. */
  readonly flagRevision: number;
  /** The part of the flag that a reviewer sees; `proposed` is the flag's whole future content. */
  readonly before: JsonValue;
  readonly after: JsonValue;
  readonly proposed: JsonObject;
}

/**
 * A change request as it is stored. For a set of changes, its own part is that of the first flag; for a change of a
 * segment, it names that flag, and `before` and `after` are the segment's.
 */
export interface ChangeRequest extends RequestedChange {
  readonly id: string;
  /** The changes of all flags of a set, in their order; empty for a request of one change. */
  readonly members: readonly RequestedChange[];
  /** Whether the change may disturb a running experiment. */
  readonly force: boolean;
  readonly status: ChangeRequestStatus;
  readonly requestedById: string;
  readonly reviewedById: string | null;
  readonly comment: string | null;
  readonly createdAt: Date;
  readonly reviewedAt: Date | null;
}

/** A member of a set, as `MEMBERS` gives it. */
const isMember = is.shape({
  flagId: is.string,
  action: is.string,
  flagRevision: is.number,
  before: is.json,
  after: is.json,
  proposed: is.jsonObject,
});

/** SQL for the members of a row of `change_requests`, as JSON. */
const MEMBERS = Prisma.sql`(SELECT COALESCE(json_agg(json_build_object('flagId', m.flag_id, 'action', m.action, 'flagRevision', m.flag_revision, 'before', m.before_value, 'after', m.after_value, 'proposed', m.proposed) ORDER BY m.position), '[]') FROM change_set_members m WHERE m.change_request_id = change_requests.id)`;

const COLUMNS = Prisma.sql`id, flag_id AS "flagId", action, flag_revision AS "flagRevision", before_value AS "beforeValue", after_value AS "afterValue", proposed, force, status,
  requested_by AS "requestedById", reviewed_by AS "reviewedById", comment, created_at AS "createdAt", reviewed_at AS "reviewedAt", ${MEMBERS} AS members`;

/** The columns, as the driver gives them. */
const ROW = {
  id: is.string,
  flagId: is.string,
  action: is.string,
  flagRevision: is.bigint,
  beforeValue: is.json,
  afterValue: is.json,
  proposed: is.json,
  status: is.string,
  requestedById: is.string,
  reviewedById: is.nullable(is.string),
  comment: is.nullable(is.string),
  reviewedAt: is.nullable(is.date),
  createdAt: is.date,
  force: is.boolean,
  members: is.listOf(isMember),
};

type Row = Shaped<typeof ROW>;

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
    before: row.beforeValue,
    after: row.afterValue,
    proposed: storedObject('change_requests.proposed', row.proposed),
    members: row.members.map(({ action, ...member }) => ({ ...member, action: readAction(action) })),
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

/** A change for review: `edited` is the flag's proposed state, `flag` its current one. */
export interface ProposedChange {
  readonly flag: Flag;
  readonly edited: Flag;
  readonly action: AuditAction;
  readonly before: JsonValue;
  readonly after: JsonValue;
}

/** Gives the columns of a change. Beside the content, `proposed` keeps what the segments say that its rules name. */
const changeColumns = (
  { flag, edited, action, before, after }: ProposedChange,
  segments: ReadonlyMap<string, JsonObject>,
) => ({
  flagId: flag.id,
  action,
  flagRevision: flag.revision,
  beforeValue: nullable(before),
  afterValue: nullable(after),
  proposed: { ...flagContent(edited), ...segmentsMember(segmentsIn(edited.rules), segments) },
});

/** Keeps the segments that changes name until the transaction ends, and gives what they say, by key. */
async function heldConditions(tx: Transaction, changes: readonly ProposedChange[]): Promise<Map<string, JsonObject>> {
  const keys = segmentsIn(changes.flatMap(({ edited }) => edited.rules));
  const held = keys.length === 0 ? [] : await holdSegments(tx, keys);
  return new Map(held.map(({ key, conditions }) => [key, conditions]));
}

function segmentsMember(keys: readonly string[], segments: ReadonlyMap<string, JsonObject>): JsonObject {
  const named = keys.flatMap((key) => {
    const conditions = segments.get(key);
    return conditions === undefined ? [] : [[key, conditions] as const];
  });
  return named.length === 0 ? {} : { segments: Object.fromEntries(named) };
}

/** Gives what the segments said that the rules of a change name, by key, when it was requested. */
export function segmentsThen({ proposed: { segments } }: Pick<RequestedChange, 'proposed'>): Map<string, JsonObject> {
  const all = Object.entries(isJsonObject(segments) ? segments : {});
  return new Map(all.flatMap(([key, conditions]) => (isJsonObject(conditions) ? [[key, conditions]] : [])));
}

/**
 * Refuses changes whose rules name a segment that has changed since they were requested: the second person has not seen
 * whom they concern now. Keeps the segments from changing until the transaction ends. The caller holds the flags'
 * locks.
 *
 * @throws CONFLICT at `id`
 */
export async function checkSegmentsThen(tx: Transaction, changes: readonly RequestedChange[]): Promise<void> {
  const then = changes.map(segmentsThen);
  const keys = [...new Set(then.flatMap((segments) => [...segments.keys()]))].sort();
  if (keys.length === 0) return;
  const now = new Map((await holdSegments(tx, keys)).map(({ key, conditions }) => [key, conditions]));
  const changed = keys.find((key) => then.some((segments) => isOther(segments.get(key), now.get(key))));
  if (changed !== undefined)
    throw new FleetFlagError(
      'CONFLICT',
      `The segment ${changed} has changed since the request; reject it, and ask for the change again.`,
      { field: 'id' },
    );
}

/** Says whether a segment that was seen says something else now, or is gone. */
export function isOther(then: JsonObject | undefined, now: JsonObject | undefined): boolean {
  return then !== undefined && (now === undefined || canonicalJson(then) !== canonicalJson(now));
}

/**
 * Stores a change for review.
 *
 * @param set the changes of all flags, the first of them among them, where they are decided as one; else none
 */
export async function insertChangeRequest(
  tx: Transaction,
  first: ProposedChange,
  { requestedById, force = false, id = randomUUID() }: { requestedById: string; force?: boolean; id?: string },
  set: readonly ProposedChange[] = [],
): Promise<ChangeRequest> {
  const segments = await heldConditions(tx, [first, ...set]);
  await tx.changeRequest.create({
    data: { id, ...changeColumns(first, segments), force, requestedById, createdAt: new Date() },
  });
  if (set.length > 0)
    await tx.changeSetMember.createMany({
      data: set.map((change, position) => ({ changeRequestId: id, position, ...changeColumns(change, segments) })),
    });
  return stored(tx, id);
}

/** Gives a request that is known to be there. */
async function stored(tx: Transaction, id: string): Promise<ChangeRequest> {
  const [request] = await findChangeRequestsById(tx, [id]);
  if (request === undefined) throw new Error(`The change request ${id} is gone`);
  return request;
}

/** Gives all changes of a request: one, or those of the set. */
export const requestedChanges = (request: ChangeRequest): readonly RequestedChange[] =>
  request.members.length === 0 ? [request] : request.members;

/** Counts the flags of a request's set; 0 for a request of one change. */
export const countMembers = (db: Reader, id: string): Promise<number> =>
  db.changeSetMember.count({ where: { changeRequestId: id } });

/** Locks the request's row until the transaction ends, so that it is decided only once. */
export async function lockChangeRequest(tx: Transaction, id: string): Promise<ChangeRequest | null> {
  await rowCount(tx)`SELECT id FROM change_requests WHERE id = ${id}::uuid FOR UPDATE`;
  return (await findChangeRequestsById(tx, [id]))[0] ?? null;
}

/** Writes the decision. A request that its requester cancels has no reviewer. */
export async function decideChangeRequest(
  tx: Transaction,
  id: string,
  decision: { status: Exclude<ChangeRequestStatus, 'pending'>; reviewedById: string | null; comment: string | null },
): Promise<ChangeRequest> {
  const at = new Date();
  await tx.changeRequest.update({ where: { id }, data: { ...decision, reviewedAt: at, updatedAt: at } });
  return stored(tx, id);
}

/** Locks the rows of all pending requests of a person, always in the same order. */
export async function lockPendingRequestsOf(tx: Transaction, requestedById: string): Promise<ChangeRequest[]> {
  const locked = await rowsOf(tx, { id: is.string })`
    SELECT id FROM change_requests WHERE requested_by = ${requestedById}::uuid AND status = 'pending' ORDER BY id FOR UPDATE`;
  return findChangeRequestsById(
    tx,
    locked.map(({ id }) => id),
  );
}

/**
 * Locks the rows of the pending requests of flags, in the order of their ids. The caller holds the flags' locks, so no
 * further request can be created. Skips requests that another transaction has locked: it is waiting for a flag, and
 * ends its request itself.
 */
export async function lockPendingRequestsFor(tx: Transaction, flagIds: readonly string[]): Promise<ChangeRequest[]> {
  const flags = [...flagIds];
  const locked = await rowsOf(tx, { id: is.string })`
    SELECT id FROM change_requests
    WHERE (flag_id = ANY(${flags}::uuid[]) OR id IN (SELECT change_request_id FROM change_set_members WHERE flag_id = ANY(${flags}::uuid[])))
      AND status = 'pending' ORDER BY id FOR UPDATE SKIP LOCKED`;
  if (locked.length === 0) return [];
  const requests = await findChangeRequestsById(
    tx,
    locked.map(({ id }) => id),
  );
  return requests.sort((a, b) => (a.id < b.id ? -1 : 1));
}

const withStatus = (status: ChangeRequestStatus | null) =>
  status === null ? Prisma.sql`true` : Prisma.sql`status = ${status}`;

/** Lists requests of one status, or of any (null), newest first; at most 500. */
export async function findChangeRequests(db: Reader, status: ChangeRequestStatus | null): Promise<ChangeRequest[]> {
  const rows = await rowsOf(
    db,
    ROW,
  )`SELECT ${COLUMNS} FROM change_requests WHERE ${withStatus(status)} ORDER BY created_at DESC, id DESC LIMIT ${MAX_LISTED}`;
  return rows.map(toChangeRequest);
}

/** Counts the requests of one status, or of any (null). */
export async function countChangeRequests(db: Reader, status: ChangeRequestStatus | null): Promise<number> {
  const [row] = await rowsOf(db, {
    count: is.bigint,
  })`SELECT count(*) AS count FROM change_requests WHERE ${withStatus(status)}`;
  return Number(row?.count ?? 0);
}

/** Lists requests as `findChangeRequests` does, of each of some flags, by the flags' ids. */
export async function findChangeRequestsOfFlags(
  db: Reader,
  flagIds: readonly string[],
  status: ChangeRequestStatus | null,
): Promise<Map<string, ChangeRequest[]>> {
  const rows = await rowsOf(db, { ofFlag: is.string, ...ROW })`
    SELECT flag.id AS "ofFlag", request.* FROM unnest(${[...flagIds]}::uuid[]) AS flag (id) CROSS JOIN LATERAL (
      SELECT ${COLUMNS} FROM change_requests
      WHERE id IN (
        SELECT id FROM change_requests WHERE flag_id = flag.id
        UNION SELECT change_request_id FROM change_set_members WHERE flag_id = flag.id
      ) AND ${withStatus(status)} ORDER BY created_at DESC, id DESC LIMIT ${MAX_LISTED}
    ) AS request ORDER BY request."createdAt" DESC, request.id DESC`;
  const found = new Map<string, ChangeRequest[]>(flagIds.map((id) => [id, []]));
  for (const { ofFlag, ...row } of rows) found.get(ofFlag)?.push(toChangeRequest(row));
  return found;
}

/** Gives the requests with these ids; unknown ids are left out. */
export async function findChangeRequestsById(db: Reader, ids: readonly string[]): Promise<ChangeRequest[]> {
  const rows = await rowsOf(db, ROW)`${prepared('change_requests_by_id')}
    SELECT ${COLUMNS} FROM change_requests WHERE id = ANY(${[...ids]}::uuid[])`;
  return rows.map(toChangeRequest);
}
