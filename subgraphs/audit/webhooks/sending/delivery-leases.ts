/**
 * The leases under which instances send. An instance that is killed lets its leases run out, and another one sends
 * again, under the same message id.
 */
import type { JsonObject } from '../../../../core/model.ts';
import { is, type Shaped } from '../../../../core/json/shape.ts';
import type { PrismaClient } from '../../../../prisma/generated/client.ts';
import { rowCount, rowsOf } from '../../../shared/postgres/rows.ts';
import type { Reader, Transaction } from '../../../shared/postgres/transaction.ts';
import { WEBHOOK_KINDS } from '../../../shared/webhooks/webhook-event.ts';

/**
 * The most attempts at once for one webhook, over all instances. A webhook that answers slowly holds up only itself.
 * All webhooks together have at most this many times `MAX_WEBHOOKS` attempts (webhook.ts).
 */
const AT_ONCE = 2;

const LEASED = {
  id: is.string,
  webhookId: is.string,
  name: is.string,
  url: is.string,
  kind: is.oneOf(WEBHOOK_KINDS),
  payload: is.jsonObject,
  attempts: is.number,
  createdAt: is.date,
  seed: is.string,
  previousSeed: is.nullable(is.string),
} as const;

/** A delivery that this instance may send until its lease ends. */
export type LeasedDelivery = Shaped<typeof LEASED> & { readonly payload: JsonObject };

/**
 * Leases what is due, and counts the attempts that thereby begin. A kind that only a newer version knows is left to it:
 * read here, it would keep everything else from being sent. A webhook is locked meanwhile, but not for those who write
 * deliveries for it; one that another instance has locked is left to that one.
 *
 * Another instance's lease may have begun after this statement's `now()` and still be in its snapshot, so leases are
 * counted up to the clock's time.
 *
 * @param lease a UUID that names this lease
 * @param leaseMs milliseconds after which others may send again
 */
export function leaseDue(db: Reader, lease: string, leaseMs: number): Promise<LeasedDelivery[]> {
  const [seconds, kinds] = [leaseMs / 1_000, [...WEBHOOK_KINDS]];
  return rowsOf(db, LEASED)`
    WITH free AS (
      SELECT w.id, w.enabled, ${AT_ONCE} - (
        SELECT count(*) FROM webhook_deliveries d
        WHERE d.webhook_id = w.id AND d.status = 'pending' AND d.lease IS NOT NULL
          AND d.next_attempt_at > now() AND d.next_attempt_at <= clock_timestamp() + make_interval(secs => ${seconds})
      ) AS places
      FROM webhooks w
      WHERE w.deleted_at IS NULL AND EXISTS (
        SELECT FROM webhook_deliveries d WHERE d.webhook_id = w.id AND d.status = 'pending'
          AND d.kind = ANY (${kinds}::text[]) AND d.next_attempt_at <= now() AND (w.enabled OR d.kind = 'webhook.test')
      )
      FOR NO KEY UPDATE OF w SKIP LOCKED
    ), due AS (
      SELECT d.id FROM free, LATERAL (
        SELECT d.id FROM webhook_deliveries d
        WHERE d.webhook_id = free.id AND d.status = 'pending' AND d.next_attempt_at <= now()
          AND d.kind = ANY (${kinds}::text[]) AND (free.enabled OR d.kind = 'webhook.test')
        ORDER BY d.next_attempt_at LIMIT GREATEST(free.places, 0)
      ) d
    )
    UPDATE webhook_deliveries d
    SET lease = ${lease}::uuid, attempts = d.attempts + 1, last_attempt_at = now(),
        next_attempt_at = now() + make_interval(secs => ${seconds})
    FROM due, webhooks w
    WHERE d.id = due.id AND w.id = d.webhook_id AND d.status = 'pending' AND d.next_attempt_at <= now()
    RETURNING d.id, d.webhook_id AS "webhookId", w.name, w.url, d.kind, d.payload, d.attempts, d.created_at AS "createdAt",
      w.secret_seed AS seed, CASE WHEN w.previous_secret_until > now() THEN w.previous_secret_seed END AS "previousSeed"`;
}

/** Marks a delivery as received, where the lease is still held; its webhook no longer fails. */
export async function markDelivered(
  db: PrismaClient,
  { id, webhookId, kind }: LeasedDelivery,
  lease: string,
  status: number,
): Promise<void> {
  await db.$executeRaw`
    WITH done AS (
      UPDATE webhook_deliveries SET status = 'delivered', delivered_at = now(), lease = NULL, last_status = ${status}, last_fault = NULL
      WHERE id = ${id}::uuid AND lease = ${lease}::uuid
    )
    UPDATE webhooks SET failing_since = NULL
    WHERE id = ${webhookId}::uuid AND failing_since IS NOT NULL AND ${kind !== 'webhook.test'}`;
}

/** The outcome of a failed attempt. */
export interface FailedAttempt {
  readonly status: number | null;
  readonly fault: string;
  /** Milliseconds until the next attempt; null: there is none. */
  readonly retryMs: number | null;
}

/**
 * Notes a failed attempt, where the lease is still held. Gives the time since which the webhook fails; null where the
 * lease was lost, or it was a test, which says nothing about the webhook's deliveries.
 */
export async function noteFailure(
  tx: Transaction,
  { id, webhookId, kind }: LeasedDelivery,
  lease: string,
  { status, fault, retryMs }: FailedAttempt,
): Promise<{ failingSince: Date; now: Date } | null> {
  // The order of locks is that of deleting a webhook: the webhook, and then its deliveries.
  await rowCount(tx)`SELECT id FROM webhooks WHERE id = ${webhookId}::uuid FOR NO KEY UPDATE`;
  const noted = await rowsOf(tx, { id: is.string })`
    UPDATE webhook_deliveries
    SET status = ${retryMs === null ? 'failed' : 'pending'}, lease = NULL, last_status = ${status}, last_fault = ${fault},
        next_attempt_at = now() + make_interval(secs => ${(retryMs ?? 0) / 1_000})
    WHERE id = ${id}::uuid AND lease = ${lease}::uuid RETURNING id`;
  if (noted.length === 0 || kind === 'webhook.test') return null;
  const [webhook] = await rowsOf(tx, { failingSince: is.date, now: is.date })`
    UPDATE webhooks SET failing_since = COALESCE(failing_since, now())
    WHERE id = ${webhookId}::uuid AND enabled RETURNING failing_since AS "failingSince", now() AS now`;
  return webhook ?? null;
}

/** Gives back the lease of an attempt that a shutdown has ended: it is due at once, and the attempt does not count. */
export async function releaseLease(db: PrismaClient, { id }: LeasedDelivery, lease: string): Promise<void> {
  await db.$executeRaw`
    UPDATE webhook_deliveries SET lease = NULL, next_attempt_at = now(), attempts = attempts - 1
    WHERE id = ${id}::uuid AND lease = ${lease}::uuid AND status = 'pending'`;
}
