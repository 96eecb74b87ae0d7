/** The form of a webhook: name, address, events, environments and the share of vehicles offline. */
import { useState } from 'preact/hooks';
import { faultsAt, type Fault } from '../api/fault.ts';
import { ENVIRONMENTS } from '../api/live.ts';
import type { CreateWebhookInput, WebhookFragment, WebhookKind } from '../generated/operations.ts';
import type { TargetedSubmitEvent } from '../navigation/events.ts';
import { CheckList } from '../parts/check-list.tsx';
import { FaultNotice } from '../parts/parts.tsx';
import { TextField } from '../parts/text-field.tsx';
import { useAdministrationWords } from '../words/use-administration-words.ts';

/** The events that a webhook can get, in the order in which they are offered. */
const KINDS: readonly WebhookKind[] = [
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

interface WebhookFormProps {
  /** The values that the form begins with; null for a new webhook. */
  readonly webhook: WebhookFragment | null;
  readonly action: string;
  readonly sending: boolean;
  readonly fault: Fault | null;
  readonly send: (input: CreateWebhookInput) => void;
}

export function WebhookForm({ webhook, action, sending, fault, send }: WebhookFormProps) {
  const { words, own } = useAdministrationWords();
  const [name, setName] = useState(webhook?.name ?? '');
  const [url, setUrl] = useState(webhook?.url ?? '');
  const [kinds, setKinds] = useState<ReadonlySet<string>>(new Set(webhook?.kinds));
  const [environments, setEnvironments] = useState<ReadonlySet<string>>(new Set(webhook?.environments));
  const [percent, setPercent] = useState(String(webhook?.offlinePercent ?? USUAL_OFFLINE_PERCENT));
  const [tried, setTried] = useState(false);
  const [wrongName, wrongUrl, wrongPercent] = faultsAt(fault, 'input.name', 'input.url', 'input.offlinePercent');
  const submit = (event: TargetedSubmitEvent) => {
    event.preventDefault();
    setTried(true);
    if (kinds.size === 0) event.currentTarget.querySelector<HTMLElement>('fieldset input')?.focus();
    else
      send({
        name: name.trim(),
        url: url.trim(),
        kinds: KINDS.filter((kind) => kinds.has(kind)),
        environments: ENVIRONMENTS.filter((environment) => environments.has(environment)),
        ...(kinds.has('FLEET_OFFLINE') && { offlinePercent: Number(percent) }),
      });
  };
  return (
    <form class="form" onSubmit={submit}>
      <TextField
        label={words.fields.name}
        hint={own.webhookNameHint}
        value={name}
        onType={setName}
        required
        maxLength={100}
        wrong={wrongName}
      />
      <TextField
        label={own.webhookAddress}
        hint={own.webhookAddressHint}
        type="url"
        value={url}
        onType={setUrl}
        required
        maxLength={2_000}
        wrong={wrongUrl}
      />
      <CheckList
        label={own.webhookKinds}
        hint={own.webhookKindsHint}
        options={KINDS.map((kind) => [kind, own.kindNames[kind]])}
        chosen={kinds}
        onChoose={setKinds}
        none={own.kindsMissing}
      />
      {tried && kinds.size === 0 && (
        <p class="field-wrong" role="alert">
          {own.kindsMissing}
        </p>
      )}
      {kinds.has('FLEET_OFFLINE') && (
        <TextField
          label={own.offlinePercent}
          hint={own.offlinePercentHint}
          type="number"
          min={1}
          max={100}
          value={percent}
          onType={setPercent}
          required
          wrong={wrongPercent}
        />
      )}
      <CheckList
        label={own.webhookEnvironments}
        hint={own.webhookEnvironmentsHint}
        options={ENVIRONMENTS.map((environment) => [environment, words.environments[environment]])}
        chosen={environments}
        onChoose={setEnvironments}
        none={own.allEnvironments}
      />
      {fault !== null && <FaultNotice fault={fault} />}
      <button type="submit" class="button button-main" disabled={sending}>
        {action}
      </button>
    </form>
  );
}
