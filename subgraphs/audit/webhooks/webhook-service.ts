/** The use cases of administrators: webhooks, their secrets, tests and replays. Each is one transaction. */
import { FleetFlagError, badInput } from '../../../core/errors.ts';
import { actingUser, type CallerIdentity } from '../../../core/access/caller.ts';
import { newWebhookSeed, type WebhookSecrets } from '../../../core/credentials/webhook-secret.ts';
import type { JsonObject } from '../../../core/model.ts';
import { isUuid, type Page } from '../../../core/wire/api/pagination.ts';
import type { PrismaClient } from '../../../prisma/generated/client.ts';
import { appendAudit } from '../../shared/audit/audit-log.ts';
import type { Transaction } from '../../shared/postgres/transaction.ts';
import { checkUnchangedSince } from '../../shared/subgraph/expected-update.ts';
import type { CreateWebhookInput, UpdateWebhookInput } from '../generated/resolvers.ts';
import {
  countDeliveries,
  insertDelivery,
  lockDelivery,
  requeueDelivery,
  searchDeliveries,
  type DeliverySearch,
} from './delivery-store.ts';
import type { AddressPolicy } from './sending/address-policy.ts';
import {
  auditedSettings,
  changedSettings,
  MAX_WEBHOOKS,
  readNewWebhook,
  readWebhookChange,
  type Webhook,
  type WebhookDelivery,
} from './webhook.ts';
import {
  countWebhooks,
  deleteWebhook,
  findWebhooks,
  insertWebhook,
  listWebhooks,
  lockWebhook,
  replaceSeed,
  updateWebhook,
} from './webhook-store.ts';

/** A webhook with its secret, as it is shown once. */
export interface WebhookWithSecret {
  readonly webhook: Webhook;
  readonly secret: string;
}

const HOUR_MS = 3_600_000;
/** The longest time, in hours, for which the former secret stays valid after a rotation. */
const MAX_OVERLAP_HOURS = 168;

const unknownWebhook = () => new FleetFlagError('NOT_FOUND', 'This webhook does not exist.', { field: 'id' });
const unknownDelivery = () => new FleetFlagError('NOT_FOUND', 'This delivery does not exist.', { field: 'id' });

/** Changes webhooks, and lists their deliveries. */
export class WebhookService {
  constructor(
    private readonly prisma: PrismaClient,
    private readonly secrets: WebhookSecrets,
    private readonly policy: AddressPolicy,
    /** Called after a transaction that has made something due. */
    private readonly wake: () => void,
  ) {}

  /**
   * Creates a webhook. Gives its secret, which is shown only here.
   *
   * @throws BAD_USER_INPUT at `input.…`; LIMIT_EXCEEDED
   */
  async create(identity: CallerIdentity, input: CreateWebhookInput): Promise<WebhookWithSecret> {
    const settings = readNewWebhook(input, this.policy);
    const seed = newWebhookSeed();
    const webhook = await this.prisma.$transaction(async (tx) => {
      const made = await insertWebhook(tx, settings, seed, actingUser(identity.caller));
      const after = { id: made.id, ...auditedSettings(made) };
      await appendAudit(tx, identity, { action: 'CREATE_WEBHOOK', after });
      // The audit log is locked here, so two creations at once cannot both count as the last one.
      if ((await countWebhooks(tx)) > MAX_WEBHOOKS)
        throw new FleetFlagError('LIMIT_EXCEEDED', `There are ${MAX_WEBHOOKS} webhooks; delete one first.`, {
          limit: MAX_WEBHOOKS,
        });
      return made;
    });
    return { webhook, secret: this.secrets.secretOf(seed) };
  }

  /**
   * Changes what `input` gives. A change of nothing leaves no audit row.
   *
   * @param expectedUpdatedAt the webhook's `updatedAt` that the caller has seen; null: not compared
   * @throws BAD_USER_INPUT at `input.…`; NOT_FOUND; CONFLICT where it has changed since `expectedUpdatedAt`
   */
  async update(
    identity: CallerIdentity,
    id: string,
    input: UpdateWebhookInput,
    expectedUpdatedAt?: Date | null,
  ): Promise<Webhook> {
    const change = readWebhookChange(input, this.policy);
    const changed = await this.prisma.$transaction(async (tx) => {
      const before = await this.#locked(tx, id);
      checkUnchangedSince('This webhook', before.updatedAt, expectedUpdatedAt);
      const settings = changedSettings(before, change);
      const [was, is] = [auditedSettings(before), auditedSettings(settings)];
      const names = Object.keys(is).filter((name) => JSON.stringify(is[name]) !== JSON.stringify(was[name]));
      const hasNewUrl = settings.url !== before.url;
      if (names.length === 0 && !hasNewUrl) return before;
      const after = await updateWebhook(tx, before, settings);
      const only = (values: JsonObject) => Object.fromEntries(names.map((name) => [name, values[name] ?? null]));
      await appendAudit(tx, identity, {
        action: 'UPDATE_WEBHOOK',
        before: { id: before.id, ...only(was) },
        after: { id: before.id, ...only(is), ...(hasNewUrl && { url: 'changed' }) },
      });
      return after;
    });
    this.wake();
    return changed;
  }

  /**
   * Deletes a webhook. Its pending deliveries are not sent.
   *
   * @throws NOT_FOUND
   */
  async delete(identity: CallerIdentity, id: string): Promise<true> {
    await this.prisma.$transaction(async (tx) => {
      const before = await this.#locked(tx, id);
      await deleteWebhook(tx, before.id);
      await appendAudit(tx, identity, {
        action: 'DELETE_WEBHOOK',
        before: { id: before.id, ...auditedSettings(before) },
      });
    });
    return true;
  }

  /**
   * Gives a webhook a new secret, which is shown only here. Messages are signed under both until the overlap ends.
   *
   * @param overlapHours the hours for which the former secret signs as well; with 0 former secrets no longer sign
   * @throws BAD_USER_INPUT at `overlapHours`; NOT_FOUND; CONFLICT at `overlapHours` while the overlap of the last
   *   rotation lasts, since the receiver may still have the secret that it replaced
   */
  async rotate(identity: CallerIdentity, id: string, overlapHours: number): Promise<WebhookWithSecret> {
    if (overlapHours < 0 || overlapHours > MAX_OVERLAP_HOURS)
      throw badInput('overlapHours', `overlapHours must be from 0 to ${MAX_OVERLAP_HOURS}.`);
    const seed = newWebhookSeed();
    const until = overlapHours === 0 ? null : new Date(Date.now() + overlapHours * HOUR_MS);
    const webhook = await this.prisma.$transaction(async (tx) => {
      const before = await this.#locked(tx, id);
      const { previousSecretUntil } = before;
      if (until !== null && previousSecretUntil !== null && previousSecretUntil.getTime() > Date.now())
        throw new FleetFlagError(
          'CONFLICT',
          `The former secret is valid until ${previousSecretUntil.toISOString()}, and this rotation would end it. Rotate after that, or with overlapHours: 0, which ends all former secrets at once.`,
          { field: 'overlapHours' },
        );
      const after = await replaceSeed(tx, before.id, seed, until);
      await appendAudit(tx, identity, {
        action: 'ROTATE_WEBHOOK_SECRET',
        after: { id: before.id, name: before.name, overlapHours },
      });
      return after;
    });
    return { webhook, secret: this.secrets.secretOf(seed) };
  }

  /**
   * Sends a test, once, to a disabled webhook as well.
   *
   * @throws NOT_FOUND
   */
  async test(identity: CallerIdentity, id: string): Promise<WebhookDelivery> {
    const delivery = await this.prisma.$transaction(async (tx) => {
      const { id: webhookId, name } = await this.#locked(tx, id);
      const made = await insertDelivery(tx, { webhookId, kind: 'webhook.test', payload: { webhookId, name } });
      const after = { id: webhookId, name, delivery: made.id };
      await appendAudit(tx, identity, { action: 'TEST_WEBHOOK', after });
      return made;
    });
    this.wake();
    return delivery;
  }

  /**
   * Sends a delivery again at once, under the id that it has, by which a receiver that already has it recognises it.
   *
   * @throws NOT_FOUND; CONFLICT while its webhook is disabled
   */
  async replay(identity: CallerIdentity, id: string): Promise<WebhookDelivery> {
    if (!isUuid(id)) throw unknownDelivery();
    const delivery = await this.prisma.$transaction(async (tx) => {
      const before = await lockDelivery(tx, id);
      if (before === null) throw unknownDelivery();
      const [webhook] = await findWebhooks(tx, [before.webhookId]);
      if (webhook === undefined) throw unknownDelivery();
      if (!webhook.enabled && before.kind !== 'webhook.test')
        throw new FleetFlagError('CONFLICT', 'The webhook is disabled; enable it, and replay then.', { field: 'id' });
      const after = await requeueDelivery(tx, before.id);
      await appendAudit(tx, identity, {
        action: 'REPLAY_WEBHOOK',
        after: { id: webhook.id, name: webhook.name, delivery: before.id, kind: before.kind },
      });
      return after;
    });
    this.wake();
    return delivery;
  }

  /** Lists all webhooks, newest first. */
  list(): Promise<Webhook[]> {
    return listWebhooks(this.prisma);
  }

  /** Gives webhooks by id; unknown ids are left out. */
  byId(ids: readonly string[]): Promise<Webhook[]> {
    return findWebhooks(this.prisma, ids);
  }

  /** Reads a page of deliveries, newest first. */
  deliveries(search: DeliverySearch, page: Page) {
    return searchDeliveries(this.prisma, search, page);
  }

  /** Counts the deliveries that a search finds on all pages. */
  deliveryCount(search: DeliverySearch): Promise<number> {
    return countDeliveries(this.prisma, search);
  }

  async #locked(tx: Transaction, id: string): Promise<Webhook> {
    const webhook = isUuid(id) ? await lockWebhook(tx, id) : null;
    if (webhook === null) throw unknownWebhook();
    return webhook;
  }
}
