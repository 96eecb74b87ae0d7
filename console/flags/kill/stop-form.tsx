/** The form of a kill switch: a reason, and the flag's key, typed so that nobody stops the wrong feature. */
import { useState } from 'preact/hooks';
import type { Fault } from '../../api/fault.ts';
import type { TargetedSubmitEvent } from '../../navigation/events.ts';
import { FaultNotice } from '../../parts/parts.tsx';
import { ReasonField } from '../../parts/reason-field.tsx';
import { TextField } from '../../parts/text-field.tsx';
import { useWords } from '../../words/language.ts';

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
      <ReasonField
        label={words.reason}
        hint={reasonHint}
        wrong={tried && noReason ? words.reasonMissing : null}
        required
        value={reason}
        onType={setReason}
      />
      <TextField
        label={words.typeKey}
        hint={
          <>
            {words.typeKeyHint} <code>{flagKey}</code>
          </>
        }
        wrong={tried && otherKey ? words.keyDiffers : null}
        isCode
        required
        value={typed}
        onType={setTyped}
      />
      {fault !== null && <FaultNotice fault={fault} />}
      <button type="submit" class={danger ? 'button button-danger' : 'button button-main'} disabled={sending}>
        {button}
      </button>
    </form>
  );
}
