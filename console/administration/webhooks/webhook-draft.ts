/** A webhook as it stands in its form, and as the API takes it. */
import { ENVIRONMENTS } from '../../api/environments.ts';
import type { CreateWebhookInput, WebhookFragment, WebhookKind } from '../../generated/operations.ts';
import type { AdministrationWords } from '../../words/administration.ts';
import type { Words } from '../../words/en.ts';

/** The events that a webhook can get, in the order in which they are offered. */
export const WEBHOOK_KINDS: readonly WebhookKind[] = [
  'CHANGE_REQUEST_WAITING',
  'CHANGE_REQUEST_APPROVED',
  'CHANGE_REQUEST_REJECTED',
  'CHANGE_REQUEST_CANCELLED',
  'KILL_SWITCH_PULLED',
  'KILL_SWITCH_RELEASED',
  'ROLLOUT_HALTED',
  'ROLLOUT_FINISHED',
  'RELEASE_HALTED',
  'RELEASE_POLICY_WAITING',
  'AUDIT_CHAIN_BROKEN',
  'API_KEY_EXPIRING',
  'FLEET_OFFLINE',
  'WEBHOOK_DISABLED',
];
const USUAL_OFFLINE_PERCENT = 20;

/** A webhook as it is typed. Its secret is no part of this. */
export interface WebhookDraft {
  readonly name: string;
  readonly url: string;
  readonly kinds: readonly string[];
  readonly environments: readonly string[];
  readonly percent: string;
}

/** Gives those of a list that are chosen, in its order. */
export const chosenOf = <Name extends string>(all: readonly Name[], chosen: Iterable<string>): readonly Name[] => {
  const names = new Set(chosen);
  return all.filter((one) => names.has(one));
};

/** Gives a webhook as it stands in its form; null: a new one. */
export const webhookDraftOf = (webhook: WebhookFragment | null): WebhookDraft => ({
  name: webhook?.name ?? '',
  url: webhook?.url ?? '',
  kinds: chosenOf(WEBHOOK_KINDS, webhook?.kinds ?? []),
  environments: chosenOf(ENVIRONMENTS, webhook?.environments ?? []),
  percent: String(webhook?.offlinePercent ?? USUAL_OFFLINE_PERCENT),
});

/** Gives a form as the API takes it. */
export const webhookInputOf = ({ name, url, kinds, environments, percent }: WebhookDraft): CreateWebhookInput => ({
  name: name.trim(),
  url: url.trim(),
  kinds: chosenOf(WEBHOOK_KINDS, kinds),
  environments: chosenOf(ENVIRONMENTS, environments),
  ...(kinds.includes('FLEET_OFFLINE') && { offlinePercent: Number(percent) }),
});

/** Gives what people compare of two states of a webhook, under the names that the form gives it. */
export function webhookContentOf(
  { name, url, kinds, environments, offlinePercent }: WebhookFragment,
  words: Pick<Words, 'fields' | 'environments'>,
  own: AdministrationWords,
): object {
  return {
    [words.fields.name]: name,
    [own.webhookAddress]: url,
    [own.webhookKinds]: chosenOf(WEBHOOK_KINDS, kinds).map((kind) => own.kindNames[kind]),
    [own.webhookEnvironments]:
      environments.length === 0
        ? own.allEnvironments
        : chosenOf(ENVIRONMENTS, environments).map((environment) => words.environments[environment]),
    [own.offlinePercent]: offlinePercent,
  };
}
