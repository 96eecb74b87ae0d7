/** The audit subgraph's reads and changes of deliveries on behalf of people; sending has its own (sending/). */
import type { Prisma } from '../../../prisma/generated/client.ts';
import { pageOf, type Page } from '../../../core/wire/api/pagination.ts';
import { oneOf, storedObject } from '../../shared/postgres/column-values.ts';
import { canonicalJson } from '../../../core/json/canonical-json.ts';
import { is } from '../../../core/json/shape.ts';
import { rowCount, rowsOf } from '../../shared/postgres/rows.ts';
import type { Reader, Transaction } from '../../shared/postgres/transaction.ts';
import type { OutboxLoad } from '../../shared/monitoring/subgraph-metrics.ts';
import { newestFirst, onwards } from '../../shared/subgraph/page-query.ts';
import { WEBHOOK_KINDS } from '../../shared/webhooks/webhook-event.ts';
import { DELIVERY_STATUSES, type DeliveryStatus, type WebhookDelivery } from './webhook.ts';

const readKind = oneOf('webhook_deliveries.kind', WEBHOOK_KINDS);
const readStatus = oneOf('webhook_deliveries.status', DELIVERY_STATUSES);

const HIDDEN = { lease: true, occurrence: true } as const;

function toDelivery(row: Prisma.WebhookDeliveryGetPayload<{ omit: typeof HIDDEN }>): WebhookDelivery {
  const status = readStatus(row.status);
  return {
    ...row,
    status,
    kind: readKind(row.kind),
    payload: storedObject('webhook_deliveries.payload', row.payload),
    nextAttemptAt: status === 'pending' ? row.nextAttemptAt : null,
  };
}

/** The filters of deliveries. */
export interface DeliverySearch {
  readonly webhookId: string | null;
  readonly status: DeliveryStatus | null;
}

/** The deliveries that people see: none of a deleted webhook, or of a kind that only a newer version knows. */
const visible = () => ({ webhook: { deletedAt: null }, kind: { in: [...WEBHOOK_KINDS] } });

const filterOf = ({ webhookId, status }: DeliverySearch) => ({
  ...visible(),
  ...(webhookId !== null && { webhookId }),
  ...(status !== null && { status }),
});

/** Reads a page of deliveries, newest first, without those of deleted webhooks. */
export async function searchDeliveries(
  db: Reader,
  search: DeliverySearch,
  page: Page,
): Promise<{ deliveries: WebhookDelivery[]; more: boolean }> {
  const rows = await db.webhookDelivery.findMany({
    where: filterOf(search),
    orderBy: newestFirst(page),
    omit: HIDDEN,
    ...onwards(page),
  });
  const { items, more } = pageOf(rows, page);
  return { deliveries: items.map(toDelivery), more };
}

/** Counts the deliveries that a search finds on all pages. */
export function countDeliveries(db: Reader, search: DeliverySearch): Promise<number> {
  return db.webhookDelivery.count({ where: filterOf(search) });
}

/** Counts the deliveries that wait, and reads for how long the one that waits longest has been due. */
export async function readOutboxLoad(db: Reader): Promise<OutboxLoad> {
  const [row] = await rowsOf(db, { waiting: is.bigint, overdue: is.number })`
    SELECT count(*) AS waiting,
           COALESCE(GREATEST(extract(epoch FROM now() - min(next_attempt_at)), 0), 0)::float8 AS overdue
    FROM webhook_deliveries WHERE status = 'pending'`;
  return { waiting: Number(row?.waiting ?? 0), overdueSeconds: row?.overdue ?? 0 };
}

/** Locks a delivery until the transaction ends; gives null when there is none, or its webhook was deleted. */
export async function lockDelivery(tx: Transaction, id: string): Promise<WebhookDelivery | null> {
  const found = await rowCount(tx)`SELECT id FROM webhook_deliveries WHERE id = ${id}::uuid FOR UPDATE`;
  if (found === 0) return null;
  const row = await tx.webhookDelivery.findFirst({ where: { id, ...visible() }, omit: HIDDEN });
  return row === null ? null : toDelivery(row);
}

async function readDelivery(tx: Transaction, id: string): Promise<WebhookDelivery> {
  return toDelivery(await tx.webhookDelivery.findUniqueOrThrow({ where: { id }, omit: HIDDEN }));
}

/** Inserts a delivery that is due at once, by the clock of the database, which also decides what is due. */
export async function insertDelivery(
  tx: Transaction,
  { webhookId, kind, payload }: Pick<WebhookDelivery, 'webhookId' | 'kind' | 'payload'>,
): Promise<WebhookDelivery> {
  const [made] = await rowsOf(tx, { id: is.string })`
    INSERT INTO webhook_deliveries (webhook_id, kind, payload)
    VALUES (${webhookId}::uuid, ${kind}, ${canonicalJson(payload)}::jsonb) RETURNING id`;
  if (made === undefined) throw new Error('A delivery was not inserted');
  return readDelivery(tx, made.id);
}

/**
 * Makes a delivery due at once, by the clock of the database, with all its attempts before it. An attempt in progress
 * is its first one: another beside it would be more than a webhook may have at once.
 */
export async function requeueDelivery(tx: Transaction, id: string): Promise<WebhookDelivery> {
  await tx.$executeRaw`
    UPDATE webhook_deliveries d
    SET status = 'pending', delivered_at = NULL, attempts = CASE WHEN sending.now THEN 1 ELSE 0 END,
        lease = CASE WHEN sending.now THEN d.lease END,
        next_attempt_at = CASE WHEN sending.now THEN d.next_attempt_at ELSE now() END
    FROM (
      SELECT id, lease IS NOT NULL AND next_attempt_at > now() AS now FROM webhook_deliveries WHERE id = ${id}::uuid
    ) sending
    WHERE d.id = sending.id`;
  return readDelivery(tx, id);
}
