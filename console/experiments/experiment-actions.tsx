/** The buttons that start, complete and cancel an experiment. Each opens a dialog that explains the action first. */
import { useState } from 'preact/hooks';
import { publish } from '../api/live.ts';
import { useChange } from '../api/use-query.ts';
import {
  CancelExperimentDocument,
  CompleteExperimentDocument,
  StartExperimentDocument,
  type ExperimentPlanFragment,
} from '../generated/operations.ts';
import { experimentPath } from '../navigation/paths.ts';
import { Link } from '../navigation/router.tsx';
import { ReasonDialog } from '../parts/reason-dialog.tsx';
import { may, sessionState } from '../session/session.ts';
import { useStore } from '../store.ts';
import { useWords } from '../words/language.ts';

type Act = 'start' | 'complete' | 'cancel';

interface ActionsProps {
  readonly experiment: ExperimentPlanFragment;
  /** Called when the control plane has applied an action. */
  readonly done: () => void;
}

/** The buttons for what can be done with an experiment in its status. */
export function ExperimentActions({ experiment: { id, status, flag }, done }: ActionsProps) {
  const { words } = useWords();
  const texts = words.experiments;
  const { session } = useStore(sessionState);
  const [open, setOpen] = useState<Act | null>(null);
  const [force, setForce] = useState(false);
  const finish = () => {
    setOpen(null);
    publish({ about: 'flag', key: flag.key });
    done();
  };
  const [start, starting] = useChange(StartExperimentDocument, finish);
  const [complete, completing] = useChange(CompleteExperimentDocument, finish);
  const [cancel, cancelling] = useChange(CancelExperimentDocument, finish);
  const { sending, fault } = { start: starting, complete: completing, cancel: cancelling }[open ?? 'start'];
  if (!may(session, 'change')) return <span class="quiet">{texts.mayNot}</span>;
  const show = (act: Act) => () => {
    for (const { forget } of [starting, completing, cancelling]) forget();
    setForce(false);
    setOpen(act);
  };
  const send = (reason: string | null) => {
    if (open === 'start') start({ id });
    else if (open === 'complete') complete({ id, force, ...(force && { reason }) });
    else cancel({ id, reason: reason ?? '' });
  };
  const reasons = { start: 'none', complete: force ? 'required' : 'none', cancel: 'required' } as const;
  return (
    <>
      {status === 'DRAFT' && (
        <>
          <button type="button" class="button button-main" onClick={show('start')}>
            {texts.start}
          </button>
          <Link to={experimentPath(id, '/edit')} class="button">
            {texts.edit}
          </Link>
        </>
      )}
      {status === 'RUNNING' && (
        <button type="button" class="button button-main" onClick={show('complete')}>
          {texts.complete}
        </button>
      )}
      <button type="button" class="button" onClick={show('cancel')}>
        {texts.cancel}
      </button>
      {open !== null && (
        <ReasonDialog
          title={texts[open]}
          button={texts[open]}
          reason={reasons[open]}
          sending={sending}
          fault={fault}
          onClose={() => setOpen(null)}
          send={send}
        >
          <p>{texts[`${open}Lead`]}</p>
          {open === 'complete' && (
            <>
              <p>{texts.early}</p>
              <label class="check">
                <input type="checkbox" checked={force} onChange={(event) => setForce(event.currentTarget.checked)} />
                {texts.force}
              </label>
              {force && <p class="quiet">{texts.forceLead}</p>}
            </>
          )}
        </ReasonDialog>
      )}
    </>
  );
}
