/** The form of a webhook: name, address, events, environments and the share of vehicles offline. */
import { useState } from 'preact/hooks';
import { faultsAt, type Fault } from '../../api/fault.ts';
import { ENVIRONMENTS } from '../../api/environments.ts';
import { EditedNotices, type FormFields } from '../../changes/edited-form.tsx';
import type { CreateWebhookInput } from '../../generated/operations.ts';
import type { TargetedSubmitEvent } from '../../navigation/events.ts';
import { CheckList } from '../../parts/check-list.tsx';
import { FaultNotice } from '../../parts/parts.tsx';
import { TextField } from '../../parts/text-field.tsx';
import { useAdministrationWords } from '../../words/use-administration-words.ts';
import { WEBHOOK_KINDS, chosenOf, webhookInputOf, type WebhookDraft } from './webhook-draft.ts';

interface WebhookFormProps {
  readonly edited: FormFields<WebhookDraft>;
  readonly action: string;
  readonly sending: boolean;
  readonly fault: Fault | null;
  readonly send: (input: CreateWebhookInput) => void;
}

/** The fields of a webhook that is new or is changed, and the button that sends them. */
export function WebhookForm({ edited, action, sending, fault, send }: WebhookFormProps) {
  const { words, own } = useAdministrationWords();
  const { name, url, kinds, environments, percent } = edited.draft;
  const choose = (next: Partial<WebhookDraft>) => edited.choose({ ...edited.draft, ...next });
  const [tried, setTried] = useState(false);
  const [wrongName, wrongUrl, wrongPercent] = faultsAt(fault, 'input.name', 'input.url', 'input.offlinePercent');
  const submit = (event: TargetedSubmitEvent) => {
    event.preventDefault();
    setTried(true);
    if (kinds.length === 0) event.currentTarget.querySelector<HTMLElement>('fieldset input')?.focus();
    else send(webhookInputOf(edited.draft));
  };
  return (
    <form class="form" onSubmit={submit}>
      <EditedNotices form={edited} title={own.webhookChangedMeanwhile} />
      <TextField
        label={words.fields.name}
        hint={own.webhookNameHint}
        value={name}
        onType={(next) => choose({ name: next })}
        required
        maxLength={100}
        wrong={wrongName}
      />
      <TextField
        label={own.webhookAddress}
        hint={own.webhookAddressHint}
        type="url"
        value={url}
        onType={(next) => choose({ url: next })}
        required
        maxLength={2_000}
        wrong={wrongUrl}
      />
      <CheckList
        label={own.webhookKinds}
        hint={own.webhookKindsHint}
        options={WEBHOOK_KINDS.map((kind) => [kind, own.kindNames[kind]])}
        chosen={new Set(kinds)}
        onChoose={(next) => choose({ kinds: chosenOf(WEBHOOK_KINDS, next) })}
        none={own.kindsMissing}
      />
      {tried && kinds.length === 0 && (
        <p class="field-wrong" role="alert">
          {own.kindsMissing}
        </p>
      )}
      {kinds.includes('FLEET_OFFLINE') && (
        <TextField
          label={own.offlinePercent}
          hint={own.offlinePercentHint}
          type="number"
          min={1}
          max={100}
          value={percent}
          onType={(next) => choose({ percent: next })}
          required
          wrong={wrongPercent}
        />
      )}
      <CheckList
        label={own.webhookEnvironments}
        hint={own.webhookEnvironmentsHint}
        options={ENVIRONMENTS.map((environment) => [environment, words.environments[environment]])}
        chosen={new Set(environments)}
        onChoose={(next) => choose({ environments: chosenOf(ENVIRONMENTS, next) })}
        none={own.allEnvironments}
      />
      {fault !== null && <FaultNotice fault={fault} />}
      <button type="submit" class="button button-main" disabled={sending || edited.hasChanged}>
        {action}
      </button>
    </form>
  );
}
