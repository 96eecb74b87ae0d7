/** A dialog that says what an act does, asks for the reason, and does it. */
import { useState } from 'preact/hooks';
import type { ComponentChildren } from 'preact';
import type { Fault } from '../api/fault.ts';
import type { TargetedSubmitEvent } from '../navigation/events.ts';
import { useWords } from '../words/language.ts';
import { Dialog } from './dialog.tsx';
import { FaultNotice } from './parts.tsx';
import { ReasonField } from './reason-field.tsx';

interface ReasonDialogProps {
  readonly title: string;
  /** The effect of the act, in words. */
  readonly children: ComponentChildren;
  /** Whether the control plane takes a reason, and needs one. */
  readonly reason: 'none' | 'optional' | 'required';
  readonly button: string;
  readonly danger?: boolean;
  readonly sending: boolean;
  readonly fault: Fault | null;
  readonly onClose: () => void;
  /** @param reason null where none was given */
  readonly send: (reason: string | null) => void;
}

/** The dialog that asks before an act, and for its reason where it needs one. */
export function ReasonDialog(props: ReasonDialogProps) {
  const { title, children, reason, button, danger = false, sending, fault, onClose, send } = props;
  const { words } = useWords();
  const [text, setText] = useState('');
  const [tried, setTried] = useState(false);
  const isMissing = reason === 'required' && text.trim() === '';
  const submit = (event: TargetedSubmitEvent) => {
    event.preventDefault();
    setTried(true);
    if (isMissing) {
      event.currentTarget.querySelector('textarea')?.focus();
      return;
    }
    send(reason === 'none' || text.trim() === '' ? null : text.trim());
  };
  return (
    <Dialog title={title} onClose={onClose}>
      <form class="form" onSubmit={submit} noValidate>
        {children}
        {reason !== 'none' && (
          <ReasonField
            label={words.reason}
            hint={words.rollouts.whyHint}
            wrong={tried && isMissing ? words.rollouts.whyMissing : null}
            required={reason === 'required'}
            value={text}
            onType={setText}
          />
        )}
        {fault !== null && <FaultNotice fault={fault} />}
        <div class="buttons">
          <button type="submit" class={danger ? 'button button-danger' : 'button button-main'} disabled={sending}>
            {button}
          </button>
          <button type="button" class="button" onClick={onClose}>
            {words.rollouts.keep}
          </button>
        </div>
      </form>
    </Dialog>
  );
}
