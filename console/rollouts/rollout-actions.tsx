/** Pausing, resuming and ending a rollout, each after saying what it does. */
import { useState } from 'preact/hooks';
import { publish } from '../api/live.ts';
import { useChange } from '../api/use-query.ts';
import {
  CancelRolloutDocument,
  PauseRolloutDocument,
  ResumeRolloutDocument,
  type RolloutPartsFragment,
} from '../generated/operations.ts';
import { ReasonDialog } from '../parts/reason-dialog.tsx';
import { may, sessionState } from '../session/session.ts';
import { useStore } from '../store.ts';
import { useWords } from '../words/language.ts';

type Act = 'pause' | 'resume' | 'cancel';

interface ActionsProps {
  readonly flagKey: string;
  /** Whether a second person has to approve a resumption. */
  readonly needsSecondPerson: boolean;
  readonly rollout: RolloutPartsFragment;
  /** Called when the control plane has applied an action. */
  readonly done: () => void;
}

/** Shows a button for each act, disabled where it is not possible, and the dialog of the chosen one. */
export function RolloutActions({ flagKey, needsSecondPerson, rollout: { id, status }, done }: ActionsProps) {
  const { words } = useWords();
  const { session } = useStore(sessionState);
  const [open, setOpen] = useState<Act | null>(null);
  const finish = () => {
    setOpen(null);
    publish({ about: 'flag', key: flagKey });
    publish({ about: 'request' });
    done();
  };
  const [pause, pausing] = useChange(PauseRolloutDocument, finish);
  const [resume, resuming] = useChange(ResumeRolloutDocument, finish);
  const [cancel, cancelling] = useChange(CancelRolloutDocument, finish);
  const { sending, fault, forget } = { pause: pausing, resume: resuming, cancel: cancelling }[open ?? 'pause'];
  const texts = words.rollouts;
  const mayStop = may(session, 'stop');
  const mayPlan = may(session, 'change');
  const show = (act: Act) => {
    for (const { forget: forgetFault } of [pausing, resuming, cancelling]) forgetFault();
    setOpen(act);
  };
  const offered = (act: Act, isAllowed: boolean, why: string) => (
    <button
      type="button"
      class="button"
      disabled={!isAllowed}
      title={isAllowed ? undefined : why}
      onClick={() => show(act)}
    >
      {texts[act]}
    </button>
  );
  const send = (reason: string | null) => {
    if (open === 'resume') resume({ id });
    else (open === 'pause' ? pause : cancel)({ id, reason });
  };
  return (
    <>
      {status === 'RUNNING' && offered('pause', mayStop, texts.mayNotStop)}
      {status === 'PAUSED' && offered('resume', mayPlan, texts.mayNotPlan)}
      {offered('cancel', mayStop, texts.mayNotStop)}
      {open !== null && (
        <ReasonDialog
          title={texts[open]}
          button={texts[open]}
          reason={open === 'resume' ? 'none' : 'optional'}
          sending={sending}
          fault={fault}
          onClose={() => {
            forget();
            setOpen(null);
          }}
          send={send}
        >
          <p>{texts[`${open}Lead`]}</p>
          {open === 'resume' && needsSecondPerson && <p>{words.needsSecondPerson}</p>}
        </ReasonDialog>
      )}
    </>
  );
}
