/**
 * Sends the deliveries that are due. Every audit instance runs such a job. A lease lets only one instance send a
 * delivery at a time; a bounded number of attempts for each webhook keeps a slow receiver from holding up others.
 * Source: docs/decisions/data/webhooks.md.
 */
import { randomUUID } from 'node:crypto';
import type { Logger } from 'pino';
import { PolledRefresh } from '../../../../core/async/polled-refresh.ts';
import { withTimeout } from '../../../../core/async/timeout.ts';
import { webhookSignature, type WebhookSecrets } from '../../../../core/credentials/webhook-secret.ts';
import { canonicalJson } from '../../../../core/json/canonical-json.ts';
import { unattended } from '../../../../core/last-handler/unattended.ts';
import type { CallerIdentity } from '../../../../core/access/caller.ts';
import type { PrismaClient } from '../../../../prisma/generated/client.ts';
import { appendAudit, AUDIT_LOG_APPENDED } from '../../../shared/audit/audit-log.ts';
import type { Bus } from '../../../shared/feeds/bus.ts';
import type { Transaction } from '../../../shared/postgres/transaction.ts';
import { notifyWebhooks } from '../../../shared/webhooks/outbox.ts';
import { messageIdOf } from '../webhook.ts';
import { disableWebhook } from '../webhook-store.ts';
import type { AddressPolicy } from './address-policy.ts';
import { leaseDue, markDelivered, noteFailure, releaseLease, type LeasedDelivery } from './delivery-leases.ts';
import { retryDelayMs } from './retries.ts';
import { sendWebhook, type ResolveName, type SendResult } from './send.ts';

/** The dependencies and settings of the job. */
export interface DeliveryJobOptions {
  readonly prisma: PrismaClient;
  readonly bus: Bus;
  readonly secrets: WebhookSecrets;
  readonly policy: AddressPolicy;
  readonly logger: Logger;
  /** Milliseconds for one attempt; 15 s by default. */
  readonly timeoutMs?: number;
  /** Finds the addresses of a receiver's name; asks the name servers by default. */
  readonly resolve?: ResolveName;
}

/** The polling interval in milliseconds: the longest delay after a lost announcement. */
const POLL_INTERVAL_MS = 1_000;
const TIMEOUT_MS = 15_000;
/** The milliseconds beyond an attempt's timeout for which a lease is held, so that it outlives the attempt. */
const LEASE_MARGIN_MS = 15_000;
/** The longest time, in milliseconds, that a shutdown waits for attempts in progress. */
const SHUTDOWN_MS = 3_000;
/** The milliseconds without a success after which a delivery that fails for good disables its webhook. */
const FAILING_MS = 3 * 24 * 3_600_000;
/** The status by which a receiver says that it wants nothing from now on. */
const GONE = 410;

/** The identity under which the control plane disables a webhook. */
const controlPlane = (): CallerIdentity => ({
  caller: { kind: 'user', userId: null, role: 'ADMIN', sessionKey: null },
  origin: { ipAddress: null, userAgent: 'FleetFlag webhooks', requestId: randomUUID() },
});

/** Sends deliveries until it is closed. */
export class DeliveryJob {
  readonly #polled = new PolledRefresh({
    refresh: () => this.#sendDue(),
    intervalMs: POLL_INTERVAL_MS,
    failed: (err, isFirst) => {
      if (isFirst)
        this.options.logger.warn({ err }, 'Cannot read deliveries to webhooks; they wait until they can be read');
    },
    recovered: () => this.options.logger.info('Can read deliveries to webhooks again'),
  });
  readonly #ended = new AbortController();
  readonly #sending = new Set<Promise<void>>();
  readonly #timeoutMs: number;
  #unsubscribe: (() => Promise<void>) | undefined;
  #closing = false;

  constructor(private readonly options: DeliveryJobOptions) {
    this.#timeoutMs = options.timeoutMs ?? TIMEOUT_MS;
  }

  /** Starts sending: at once, each second, and when the bus announces something. */
  async start(): Promise<void> {
    this.#unsubscribe = await this.options.bus.subscribe(AUDIT_LOG_APPENDED, () => this.wake());
    unattended(this.#polled.start(), 'Polling for deliveries');
  }

  /** Sends what has become due. */
  wake(): void {
    if (!this.#ended.signal.aborted) unattended(this.#polled.attempt(), 'Sending deliveries');
  }

  /** Stops sending. Gives attempts in progress a moment to end; others are left to the next instance. */
  async close(): Promise<void> {
    await this.#unsubscribe?.();
    this.#closing = true;
    await this.#polled.close();
    const all = () => Promise.all(this.#sending);
    await withTimeout(SHUTDOWN_MS, 'Attempts are still in progress.', all).catch(() => undefined);
    this.#ended.abort();
    await all();
  }

  /** Leases the deliveries that are due and begins to send them. Each attempt that ends makes room for the next one. */
  async #sendDue(): Promise<void> {
    if (this.#closing) return;
    const lease = randomUUID();
    const startedAt = performance.now();
    for (const delivery of await leaseDue(this.options.prisma, lease, this.#timeoutMs + LEASE_MARGIN_MS)) {
      const sending = this.#send(delivery, lease, startedAt).finally(() => {
        this.#sending.delete(sending);
        if (!this.#closing) this.wake();
      });
      this.#sending.add(sending);
    }
  }

  /** Sends one delivery and notes the result. Never rejects. */
  async #send(delivery: LeasedDelivery, lease: string, leasedAt: number): Promise<void> {
    const { prisma, logger, policy, resolve } = this.options;
    const about = {
      webhook: delivery.webhookId,
      delivery: delivery.id,
      kind: delivery.kind,
      attempt: delivery.attempts,
    };
    try {
      // A process that was stopped for a while may hold a lease that another has already taken over.
      if (performance.now() - leasedAt > LEASE_MARGIN_MS / 2) return;
      const result = await sendWebhook(this.#messageOf(delivery), {
        ...{ policy, timeoutMs: this.#timeoutMs, ended: this.#ended.signal },
        ...(resolve !== undefined && { resolve }),
      });
      if (result.isDelivered) return await markDelivered(prisma, delivery, lease, result.status);
      if (this.#ended.signal.aborted && result.status === null) return await releaseLease(prisma, delivery, lease);
      await this.#noteFailure(delivery, lease, result, about);
    } catch (error) {
      logger.warn(
        { ...about, err: error },
        'Cannot store the result of a delivery; sending it again when its lease ends',
      );
    }
  }

  #messageOf({ id, url, kind, payload, createdAt, seed, previousSeed }: LeasedDelivery) {
    const { secrets } = this.options;
    const body = canonicalJson({ type: kind, timestamp: createdAt.toISOString(), data: payload });
    const timestamp = Math.floor(Date.now() / 1_000);
    const signing = [seed, ...(previousSeed === null ? [] : [previousSeed])].map((one) => secrets.secretOf(one));
    const headers = {
      'content-type': 'application/json',
      'user-agent': 'FleetFlag-Webhooks',
      'webhook-id': messageIdOf(id),
      'webhook-timestamp': String(timestamp),
      'webhook-signature': webhookSignature(signing, messageIdOf(id), timestamp, body),
    };
    return { url, headers, body };
  }

  async #noteFailure(
    delivery: LeasedDelivery,
    lease: string,
    { status, fault, retryAfterMs }: SendResult & { isDelivered: false },
    about: object,
  ): Promise<void> {
    const { prisma, logger } = this.options;
    const isTest = delivery.kind === 'webhook.test';
    const isGone = status === GONE && !isTest;
    const retryMs = isTest || isGone ? null : retryDelayMs(delivery.attempts, retryAfterMs, Math.random);
    const disabled = await prisma.$transaction(async (tx) => {
      const failing = await noteFailure(tx, delivery, lease, { status, fault, retryMs });
      if (failing === null || retryMs !== null) return null;
      if (!isGone && failing.now.getTime() - failing.failingSince.getTime() < FAILING_MS) return null;
      const reason = isGone
        ? 'The receiver answered 410 Gone.'
        : `No delivery succeeded since ${failing.failingSince.toISOString()}; the last fault: ${fault}`;
      await disable(tx, delivery, reason);
      return reason;
    });
    const next = retryMs === null ? 'not trying again' : `trying again in ${Math.round(retryMs / 1_000)} s`;
    logger.info({ ...about, fault }, `Cannot deliver to a webhook; ${next}`);
    if (disabled !== null)
      logger.warn(
        { ...about, reason: disabled },
        'Disabled a webhook; it gets nothing until an administrator enables it',
      );
  }
}

/** Disables a webhook, with an audit entry, and notifies others of it. */
async function disable(tx: Transaction, { webhookId, name }: LeasedDelivery, reason: string): Promise<void> {
  await disableWebhook(tx, webhookId, reason);
  await notifyWebhooks(tx, 'webhook.disabled', { webhookId, name, reason });
  await appendAudit(tx, controlPlane(), {
    action: 'DISABLE_WEBHOOK',
    before: { id: webhookId, enabled: true },
    after: { id: webhookId, name, enabled: false, reason },
  });
}
