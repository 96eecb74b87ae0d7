/** The audit subgraph's table of webhooks. Seeds of secrets are read only to sign (sending/delivery-leases.ts). */
import { ENVIRONMENTS } from '../../../core/model.ts';
import type { Prisma } from '../../../prisma/generated/client.ts';
import { oneOf } from '../../shared/postgres/column-values.ts';
import { rowCount } from '../../shared/postgres/rows.ts';
import type { Reader, Transaction } from '../../shared/postgres/transaction.ts';
import { WEBHOOK_KINDS } from '../../shared/webhooks/webhook-event.ts';
import type { Webhook, WebhookSettings } from './webhook.ts';

const HIDDEN = {
  secretSeed: true,
  previousSecretSeed: true,
  offlineSince: true,
  offlineNotified: true,
  deletedAt: true,
} as const;
type Row = Prisma.WebhookGetPayload<{ omit: typeof HIDDEN }>;

const readKind = oneOf('webhooks.kinds', WEBHOOK_KINDS);
const readEnvironment = oneOf('webhooks.environments', ENVIRONMENTS);

function toWebhook(row: Row): Webhook {
  const { kinds, environments, previousSecretUntil: until, ...rest } = row;
  return {
    ...rest,
    kinds: kinds.map(readKind),
    environments: environments.map(readEnvironment),
    previousSecretUntil: until !== null && until > new Date() ? until : null,
  };
}

const columns = ({ kinds, environments, ...rest }: WebhookSettings) => ({
  ...rest,
  kinds: [...kinds],
  environments: [...environments],
});

/** Inserts a webhook and gives it as stored. */
export async function insertWebhook(
  tx: Transaction,
  settings: WebhookSettings,
  secretSeed: string,
  createdById: string | null,
): Promise<Webhook> {
  return toWebhook(await tx.webhook.create({ data: { ...columns(settings), secretSeed, createdById }, omit: HIDDEN }));
}

/** Counts the webhooks, without deleted ones. */
export function countWebhooks(db: Reader): Promise<number> {
  return db.webhook.count({ where: { deletedAt: null } });
}

/** Lists all webhooks, newest first, without deleted ones. */
export async function listWebhooks(db: Reader): Promise<Webhook[]> {
  const rows = await db.webhook.findMany({
    where: { deletedAt: null },
    orderBy: [{ createdAt: 'desc' }, { id: 'desc' }],
    omit: HIDDEN,
  });
  return rows.map(toWebhook);
}

/** Finds webhooks; unknown and deleted ones are left out. */
export async function findWebhooks(db: Reader, ids: readonly string[]): Promise<Webhook[]> {
  const rows = await db.webhook.findMany({ where: { id: { in: [...ids] }, deletedAt: null }, omit: HIDDEN });
  return rows.map(toWebhook);
}

/**
 * Locks a webhook until the transaction ends; gives null when there is none. Transactions that write deliveries for it
 * need not wait, because they lock only its key.
 */
export async function lockWebhook(tx: Transaction, id: string): Promise<Webhook | null> {
  const found = await rowCount(
    tx,
  )`SELECT id FROM webhooks WHERE id = ${id}::uuid AND deleted_at IS NULL FOR NO KEY UPDATE`;
  return found === 0 ? null : ((await findWebhooks(tx, [id]))[0] ?? null);
}

/**
 * Changes a webhook's settings. Enabling a disabled webhook clears the reason, and the time since which it fails. A
 * webhook that watches other vehicles from now on, or begins to watch, forgets what it has reported.
 */
export async function updateWebhook(tx: Transaction, before: Webhook, settings: WebhookSettings): Promise<Webhook> {
  const isEnabledAgain = settings.enabled && !before.enabled;
  const watched = ({ offlinePercent, environments, kinds }: WebhookSettings) =>
    JSON.stringify([offlinePercent, [...environments].sort(), kinds.includes('fleet.offline')]);
  const watchesAgain = watched(settings) !== watched(before) || isEnabledAgain;
  const data = {
    ...columns(settings),
    ...(isEnabledAgain && { disabledReason: null, failingSince: null }),
    ...(watchesAgain && { offlineSince: null, offlineNotified: false }),
  };
  return toWebhook(await tx.webhook.update({ where: { id: before.id }, data, omit: HIDDEN }));
}

/** Replaces the secret's seed. The former one stays valid until `previousUntil`; with null it ends at once. */
export async function replaceSeed(
  tx: Transaction,
  id: string,
  secretSeed: string,
  previousUntil: Date | null,
): Promise<Webhook> {
  const before = await tx.webhook.findUniqueOrThrow({ where: { id }, select: { secretSeed: true } });
  const data = {
    secretSeed,
    previousSecretSeed: previousUntil === null ? null : before.secretSeed,
    previousSecretUntil: previousUntil,
  };
  return toWebhook(await tx.webhook.update({ where: { id }, data, omit: HIDDEN }));
}

/**
 * Deletes a webhook: no list shows it, and its pending deliveries are cancelled. Its row stays until its last delivery
 * is past its retention. Removing the row here would lock it against a transaction that writes a delivery for it, and
 * that may already hold the audit log for which this transaction waits.
 */
export async function deleteWebhook(tx: Transaction, id: string): Promise<void> {
  await tx.webhook.update({ where: { id }, data: { deletedAt: new Date(), enabled: false } });
  await tx.webhookDelivery.updateMany({
    where: { webhookId: id, status: 'pending' },
    data: { status: 'cancelled', lease: null },
  });
}

/** Disables a webhook. */
export async function disableWebhook(tx: Transaction, id: string, disabledReason: string): Promise<void> {
  await tx.webhook.update({ where: { id }, data: { enabled: false, disabledReason } });
}
