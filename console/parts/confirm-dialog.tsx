/** A dialog that says what a change does before it is made. */
import type { ComponentChildren } from 'preact';
import type { Fault } from '../api/fault.ts';
import type { TargetedSubmitEvent } from '../navigation/events.ts';
import { useWords } from '../words/language.ts';
import { Dialog } from './dialog.tsx';
import { FaultNotice } from './parts.tsx';

interface ConfirmDialogProps {
  readonly title: string;
  /** The words on the button that makes the change. */
  readonly action: string;
  readonly danger?: boolean;
  readonly sending: boolean;
  readonly fault: Fault | null;
  readonly confirm: () => void;
  readonly close: () => void;
  /** The effect of the change, in words. */
  readonly children: ComponentChildren;
}

/** Shows the dialog with a button that makes the change and one that closes it. */
export function ConfirmDialog(props: ConfirmDialogProps) {
  const { title, action, danger = false, sending, fault, confirm, close, children } = props;
  const { words } = useWords();
  // A form, so that the browser accepts no field among the children that is empty or out of its range.
  const submit = (event: TargetedSubmitEvent) => {
    event.preventDefault();
    confirm();
  };
  return (
    <Dialog title={title} onClose={close}>
      <form class="form" onSubmit={submit}>
        {children}
        {fault !== null && <FaultNotice fault={fault} />}
        <div class="buttons">
          <button type="submit" class={danger ? 'button button-danger' : 'button button-main'} disabled={sending}>
            {action}
          </button>
          <button type="button" class="button" onClick={close}>
            {words.cancel}
          </button>
        </div>
      </form>
    </Dialog>
  );
}
