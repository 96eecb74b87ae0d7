/** Webhooks and their deliveries as the control plane stores them, and the checks of what people set. */
import { isIP } from 'node:net';
import { badInput } from '../../../core/errors.ts';
import type { Environment, JsonObject } from '../../../core/model.ts';
import { checkVisible, readLine } from '../../../core/validation/text.ts';
import type { WebhookKind } from '../../shared/webhooks/webhook-event.ts';
import type { CreateWebhookInput, UpdateWebhookInput } from '../generated/resolvers.ts';
import type { AddressPolicy } from './sending/address-policy.ts';

/** The part of a webhook that people set. */
export interface WebhookSettings {
  readonly name: string;
  readonly url: string;
  readonly kinds: readonly WebhookKind[];
  /** The environments whose events are sent; an empty list stands for all. */
  readonly environments: readonly Environment[];
  /** The share of the fleet from which `fleet.offline` is sent, in percent. */
  readonly offlinePercent: number | null;
  readonly enabled: boolean;
}

/** A webhook without its secrets. */
export interface Webhook extends WebhookSettings {
  readonly id: string;
  /** The reason for which the control plane has disabled it. */
  readonly disabledReason: string | null;
  readonly failingSince: Date | null;
  /** The time until which the former secret signs as well; null where there is none. */
  readonly previousSecretUntil: Date | null;
  readonly createdById: string | null;
  readonly createdAt: Date;
  readonly updatedAt: Date;
}

/** The status of a delivery. */
export const DELIVERY_STATUSES = ['pending', 'delivered', 'failed', 'cancelled'] as const;
/** One of `DELIVERY_STATUSES`. */
export type DeliveryStatus = (typeof DELIVERY_STATUSES)[number];

/** One event for one webhook. */
export interface WebhookDelivery {
  readonly id: string;
  readonly webhookId: string;
  readonly kind: WebhookKind;
  readonly payload: JsonObject;
  readonly status: DeliveryStatus;
  /** The number of attempts that have begun. */
  readonly attempts: number;
  /** The time of its next attempt; null: there will be none. */
  readonly nextAttemptAt: Date | null;
  readonly lastAttemptAt: Date | null;
  /** The HTTP status of the last attempt's answer; null: there was none. */
  readonly lastStatus: number | null;
  readonly lastFault: string | null;
  readonly deliveredAt: Date | null;
  readonly createdAt: Date;
}

/** The value of the header `webhook-id`: the same for each attempt of a delivery, and for a replay. */
export const messageIdOf = (deliveryId: string) => `msg_${deliveryId.replaceAll('-', '')}`;

/** The most webhooks. With the attempts of each, it bounds those of all (sending/delivery-job.ts). */
export const MAX_WEBHOOKS = 50;

const MAX_URL = 2_000;
const MAX_NAME = 100;

/**
 * Reads the address of a receiver. A name in it is resolved and checked each time that a message is sent.
 *
 * @throws BAD_USER_INPUT at `path`; the message does not repeat the URL, which may hold a receiver's secret
 */
function readUrl(text: string, path: string, policy: AddressPolicy): string {
  checkVisible(text, path, 'A URL');
  const fault = (message: string) => badInput(path, message);
  if (!URL.canParse(text)) throw fault('The URL cannot be read; it must be like https://example.com/webhooks.');
  const url = new URL(text);
  const isHttps = url.protocol === 'https:';
  if (!isHttps && !(url.protocol === 'http:' && policy.allowsHttp))
    throw fault('The URL must begin with https://. Plain http is for addresses in FLEETFLAG_WEBHOOK_ALLOW_PRIVATE.');
  if (url.username !== '' || url.password !== '')
    throw fault('The URL must not have a user or a password: receivers check the signature.');
  if (url.hash !== '') throw fault('The URL must not have a fragment (#…), which is never sent.');
  if (url.href.length > MAX_URL) throw fault(`The URL must have at most ${MAX_URL} characters.`);
  const host = url.hostname.replace(/^\[|\]$/g, '');
  if (isIP(host) !== 0 && !policy.allows(host, isHttps))
    throw fault('The URL must name a public address, or one in FLEETFLAG_WEBHOOK_ALLOW_PRIVATE.');
  return url.href;
}

const readName = (name: string) => readLine(name, 'input.name', { what: 'A name', max: MAX_NAME });
const unique = <T>(items: readonly T[]) => [...new Set(items)];

function checkKinds(kinds: readonly WebhookKind[], path: string): readonly WebhookKind[] {
  if (kinds.length === 0) throw badInput(path, 'A webhook must have at least one kind of events.');
  const test = kinds.indexOf('webhook.test');
  if (test >= 0)
    throw badInput(`${path}.${test}`, 'WEBHOOK_TEST is sent by sendTestWebhook; choose the kinds of events.');
  return unique(kinds);
}

/** Checks the threshold, and that there is one where it is needed. */
function checkThreshold(settings: WebhookSettings): WebhookSettings {
  const { offlinePercent, kinds } = settings;
  if (offlinePercent !== null && (offlinePercent < 1 || offlinePercent > 100))
    throw badInput('input.offlinePercent', 'offlinePercent must be from 1 to 100.');
  if (offlinePercent === null && kinds.includes('fleet.offline'))
    throw badInput('input.offlinePercent', 'FLEET_OFFLINE requires offlinePercent, from 1 to 100.');
  return settings;
}

/**
 * Reads a new webhook.
 *
 * @throws BAD_USER_INPUT at `input.…`
 */
export function readNewWebhook(input: CreateWebhookInput, policy: AddressPolicy): WebhookSettings {
  return checkThreshold({
    name: readName(input.name),
    url: readUrl(input.url, 'input.url', policy),
    kinds: checkKinds(input.kinds, 'input.kinds'),
    environments: unique(input.environments ?? []),
    offlinePercent: input.offlinePercent ?? null,
    enabled: true,
  });
}

/** Members that are absent keep their value. */
export type WebhookChange = Partial<WebhookSettings>;

/**
 * Reads a change. Members that are left out or null are absent.
 *
 * @throws BAD_USER_INPUT at `input.…`
 */
export function readWebhookChange(input: UpdateWebhookInput, policy: AddressPolicy): WebhookChange {
  const { name, url, kinds, environments, offlinePercent, enabled } = input;
  return {
    ...(name != null && { name: readName(name) }),
    ...(url != null && { url: readUrl(url, 'input.url', policy) }),
    ...(kinds != null && { kinds: checkKinds(kinds, 'input.kinds') }),
    ...(environments != null && { environments: unique(environments) }),
    ...(offlinePercent != null && { offlinePercent }),
    ...(enabled != null && { enabled }),
  };
}

/**
 * Gives a webhook's settings after a change.
 *
 * @throws BAD_USER_INPUT at `input.offlinePercent`
 */
export function changedSettings(before: WebhookSettings, change: WebhookChange): WebhookSettings {
  const { name, url, kinds, environments, offlinePercent, enabled } = { ...before, ...change };
  return checkThreshold({ name, url, kinds, environments, offlinePercent, enabled });
}

/**
 * Gives the settings as the audit log records them. They have only the origin of the URL, because the rest may be a
 * receiver's secret.
 */
export function auditedSettings(settings: WebhookSettings): JsonObject {
  const { name, url, kinds, environments, offlinePercent, enabled } = settings;
  const { origin } = new URL(url);
  return { name, origin, kinds: [...kinds], environments: [...environments], offlinePercent, enabled };
}
