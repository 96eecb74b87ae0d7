/**
 * Checks for conditions that no operation brings about, so that no transaction could write their event: keys that
 * expire, vehicles that are offline, an audit log that was tampered with. Each check writes its events in a transaction
 * of its own, and costs nothing where no webhook wants them.
 */
import { ENVIRONMENTS } from '../../../../core/model.ts';
import { is } from '../../../../core/json/shape.ts';
import type { PrismaClient } from '../../../../prisma/generated/client.ts';
import { rowCount, rowsOf } from '../../../shared/postgres/rows.ts';
import { notifyWebhooks } from '../../../shared/webhooks/outbox.ts';
import type { WebhookKind } from '../../../shared/webhooks/webhook-event.ts';
import type { AuditIntegrity } from '../../log/integrity.ts';

const DAY_MS = 24 * 3_600_000;
/** The days before its expiry on which an API key is announced. */
const EXPIRY_DAYS = [1, 7] as const;
/** The milliseconds for which too many vehicles must be offline: longer than a gateway needs to restart. */
const OFFLINE_MS = 60_000;
/** The days for which deliveries are kept. */
const RETENTION_DAYS = 30;

/** Checks whether any webhook wants a kind. */
async function isWanted(prisma: PrismaClient, kind: WebhookKind): Promise<boolean> {
  return (
    (await rowCount(prisma)`
      SELECT id FROM webhooks w WHERE w.enabled AND w.deleted_at IS NULL AND ${kind} = ANY (w.kinds) LIMIT 1`) > 0
  );
}

/** Notifies webhooks of active keys that expire within 7 days, and again within 1 day: once of each. */
export async function checkApiKeys(prisma: PrismaClient): Promise<void> {
  if (!(await isWanted(prisma, 'api_key.expiring'))) return;
  const keys = await rowsOf(prisma, { id: is.string, name: is.string, expiresAt: is.date, now: is.date })`
    SELECT id, name, expires_at AS "expiresAt", now() AS now FROM api_keys
    WHERE is_active AND expires_at > now() AND expires_at <= now() + interval '7 days' ORDER BY expires_at, id`;
  for (const { id: apiKeyId, name, expiresAt, now } of keys) {
    const days = EXPIRY_DAYS.find((limit) => expiresAt.getTime() - now.getTime() <= limit * DAY_MS) ?? 7;
    const data = { apiKeyId, name, expiresAt: expiresAt.toISOString(), days };
    await prisma.$transaction((tx) =>
      notifyWebhooks(tx, 'api_key.expiring', data, { occurrence: `${apiKeyId}:${days}` }),
    );
  }
}

/** Notifies webhooks of an audit log that is not as it was written: once for each row where it breaks. */
export async function checkAuditChain(prisma: PrismaClient, check: () => Promise<AuditIntegrity>): Promise<void> {
  if (!(await isWanted(prisma, 'audit.chain_broken'))) return;
  const { intact, firstBrokenId: auditLogId, fault } = await check();
  if (intact) return;
  const data = { auditLogId, fault: fault ?? 'The audit log is not as it was written.' };
  const occurrence = `chain:${auditLogId ?? 'end'}`;
  await prisma.$transaction((tx) => notifyWebhooks(tx, 'audit.chain_broken', data, { occurrence }));
}

/**
 * Notifies each webhook whose threshold the share of offline vehicles has reached, and has not left for a minute: once,
 * until the share has been below the threshold. Vehicles in maintenance do not count.
 */
export async function checkFleet(prisma: PrismaClient): Promise<void> {
  if (!(await isWanted(prisma, 'fleet.offline'))) return;
  // docs/decisions/data/reading-another-subgraphs-table.md
  const counts = await rowsOf(prisma, {
    environment: is.nullable(is.oneOf(ENVIRONMENTS)),
    all: is.number,
    offline: is.number,
  })`
    SELECT environment, count(*)::int AS all, (count(*) FILTER (WHERE status = 'offline'))::int AS offline
    FROM vehicles WHERE status <> 'maintenance' GROUP BY environment`;
  await prisma.$transaction(async (tx) => {
    const webhooks = await rowsOf(tx, {
      id: is.string,
      environments: is.listOf(is.string),
      threshold: is.number,
      since: is.nullable(is.date),
      isNotified: is.boolean,
      now: is.date,
    })`
      SELECT id, environments, offline_percent AS threshold, offline_since AS since, offline_notified AS "isNotified", now() AS now
      FROM webhooks WHERE enabled AND deleted_at IS NULL AND 'fleet.offline' = ANY (kinds) ORDER BY id FOR NO KEY UPDATE`;
    for (const { id, environments, threshold, since, isNotified, now } of webhooks) {
      const counted = counts.filter(
        ({ environment }) => environments.length === 0 || (environment !== null && environments.includes(environment)),
      );
      const vehicles = counted.reduce((sum, { all }) => sum + all, 0);
      const offline = counted.reduce((sum, one) => sum + one.offline, 0);
      const isBeyond = vehicles > 0 && offline * 100 >= threshold * vehicles;
      if (!isBeyond && since === null) continue;
      const isDue = isBeyond && !isNotified && since !== null && now.getTime() - since.getTime() >= OFFLINE_MS;
      const offlineSince = isBeyond ? (since ?? now) : null;
      await tx.$executeRaw`
        UPDATE webhooks SET offline_since = ${offlineSince}, offline_notified = ${isBeyond && (isNotified || isDue)}
        WHERE id = ${id}::uuid`;
      if (!isDue) continue;
      const percent = Math.round((offline / vehicles) * 1_000) / 10;
      const data = { vehicles, offline, percent, thresholdPercent: threshold };
      await notifyWebhooks(tx, 'fleet.offline', data, { only: [id] });
    }
  });
}

/** Deletes deliveries that are past their retention, whatever became of them, and deleted webhooks without any. */
export async function removeOldDeliveries(prisma: PrismaClient): Promise<void> {
  await prisma.$executeRaw`
    DELETE FROM webhook_deliveries WHERE created_at < now() - make_interval(days => ${RETENTION_DAYS})`;
  await prisma.$executeRaw`
    DELETE FROM webhooks w WHERE w.deleted_at IS NOT NULL
      AND NOT EXISTS (SELECT FROM webhook_deliveries d WHERE d.webhook_id = w.id)`;
}
