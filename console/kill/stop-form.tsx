/** The form of a kill switch: a reason, and the flag's key, typed so that nobody stops the wrong feature. */
import { useState } from 'preact/hooks';
import type { Fault } from '../api/fault.ts';
import type { TargetedSubmitEvent } from '../navigation/events.ts';
import { FaultNotice, Field } from '../parts/parts.tsx';
import { useWords } from '../words/language.ts';

/** The characters that the control plane accepts for a reason. */
const MAX_REASON = 1_000;

interface StopFormProps {
  readonly flagKey: string;
  readonly reasonHint: string;
  readonly button: string;
  readonly danger?: boolean;
  readonly sending: boolean;
  readonly fault: Fault | null;
  readonly send: (reason: string) => void;
}

/** Shows the form. `send` gets the reason, once there is one and the typed key is that of the flag. */
export function StopForm({ flagKey, reasonHint, button, danger = false, sending, fault, send }: StopFormProps) {
  const { words } = useWords();
  const [reason, setReason] = useState('');
  const [typed, setTyped] = useState('');
  const [tried, setTried] = useState(false);
  const noReason = reason.trim() === '';
  const otherKey = typed.trim() !== flagKey;
  const submit = (event: TargetedSubmitEvent) => {
    event.preventDefault();
    setTried(true);
    if (noReason || otherKey) {
      event.currentTarget.querySelector<HTMLElement>(noReason ? 'textarea' : 'input')?.focus();
      return;
    }
    send(reason.trim());
  };
  return (
    <form class="form" onSubmit={submit} noValidate>
      <Field label={words.reason} hint={reasonHint} wrong={tried && noReason ? words.reasonMissing : null}>
        {(control) => (
          <textarea
            {...control}
            rows={3}
            required
            maxLength={MAX_REASON}
            value={reason}
            onInput={(event) => setReason(event.currentTarget.value)}
          />
        )}
      </Field>
      <Field
        label={words.typeKey}
        hint={
          <>
            {words.typeKeyHint} <code>{flagKey}</code>
          </>
        }
        wrong={tried && otherKey ? words.keyDiffers : null}
      >
        {(control) => (
          <input
            {...control}
            type="text"
            required
            autocomplete="off"
            autocapitalize="off"
            spellcheck={false}
            value={typed}
            onInput={(event) => setTyped(event.currentTarget.value)}
          />
        )}
      </Field>
      {fault !== null && <FaultNotice fault={fault} />}
      <button type="submit" class={danger ? 'button button-danger' : 'button button-main'} disabled={sending}>
        {button}
      </button>
    </form>
  );
}
