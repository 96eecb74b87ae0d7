/** A dialog that says what a change does, and makes it. */
import type { ComponentChildren } from 'preact';
import { useState } from 'preact/hooks';
import type { Fault } from '../api/fault.ts';
import { Dialog } from '../parts/dialog.tsx';
import { FaultNotice } from '../parts/parts.tsx';
import { useWords } from '../words/language.ts';
import { DisturbanceField } from './disturbance-field.tsx';

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
  /** @param mayDisturb whether a running experiment may be disturbed */
  readonly send: (mayDisturb: boolean) => void;
}

/** Shows the dialog. Where a running experiment would be disturbed, it asks whether that is meant. */
export function ConfirmChange(props: ConfirmProps) {
  const { title, lead, children, waits, disabled = false, conflict = null, sending, fault, onClose, send } = props;
  const { words } = useWords();
  const [mayDisturb, setMayDisturb] = useState(false);
  return (
    <Dialog title={title} onClose={onClose}>
      {conflict}
      <p>{lead}</p>
      {waits && <p class="notice">{words.needsSecondPerson}</p>}
      {children}
      {fault !== null && <FaultNotice fault={fault} />}
      <DisturbanceField fault={fault} mayDisturb={mayDisturb} onCheck={setMayDisturb} />
      <div class="buttons">
        <button
          type="button"
          class="button button-main"
          disabled={sending || disabled || conflict !== null}
          onClick={() => send(mayDisturb)}
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
