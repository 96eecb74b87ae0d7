/** A dialog that says what a change does, and makes it. */
import type { ComponentChildren } from 'preact';
import { useState } from 'preact/hooks';
import type { Fault } from '../api/fault.ts';
import { CheckField } from '../parts/check-field.tsx';
import { Dialog } from '../parts/dialog.tsx';
import { FaultNotice } from '../parts/parts.tsx';
import { useWords } from '../words/language.ts';

interface ConfirmProps {
  readonly title: string;
  readonly lead: string;
  readonly children?: ComponentChildren;
  /** Whether a second person has to approve it. */
  readonly waits: boolean;
  readonly disabled?: boolean;
  /** Says that the flag has changed since the dialog was opened; until that is seen, nothing is sent. */
  readonly conflict?: ComponentChildren;
  readonly sending: boolean;
  readonly fault: Fault | null;
  readonly onClose: () => void;
  /** @param force whether a running experiment may be disturbed */
  readonly send: (force: boolean) => void;
}

/** Shows the dialog. Where a running experiment would be disturbed, it asks whether that is meant. */
export function ConfirmChange(props: ConfirmProps) {
  const { title, lead, children, waits, disabled = false, conflict = null, sending, fault, onClose, send } = props;
  const { words } = useWords();
  const [force, setForce] = useState(false);
  const mayForce = force || fault?.field === 'force';
  return (
    <Dialog title={title} onClose={onClose}>
      {conflict}
      <p>{lead}</p>
      {waits && <p class="notice">{words.needsSecondPerson}</p>}
      {children}
      {fault !== null && <FaultNotice fault={fault} />}
      {mayForce && (
        <CheckField label={words.forms.disturbs} hint={words.forms.disturbsHint} checked={force} onCheck={setForce} />
      )}
      <div class="buttons">
        <button
          type="button"
          class="button button-main"
          disabled={sending || disabled || conflict !== null}
          onClick={() => send(force)}
        >
          {waits ? words.forms.request : title}
        </button>
        <button type="button" class="button" onClick={onClose}>
          {words.cancel}
        </button>
      </div>
    </Dialog>
  );
}
