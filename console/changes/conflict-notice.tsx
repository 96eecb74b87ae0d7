/** Says what somebody else has changed while a form was filled in, and offers to apply the form again. */
import { useEffect, useRef } from 'preact/hooks';
import { useWords } from '../words/language.ts';
import { DifferenceTable } from './difference-table.tsx';

interface ConflictProps {
  /** The content of the flag or the segment, as the form began with it. */
  readonly base: object;
  readonly now: object;
  /** Says what has changed. Absent: the flag. */
  readonly title?: string;
  /** Takes over what has changed, and keeps what was typed. */
  readonly apply: () => void;
  /** Whether an act is to be confirmed, for which nothing was typed. */
  readonly isOfAct?: boolean;
}

/** The notice that somebody else has changed the thing, with the differences. */
export function ConflictNotice({ base, now, title, apply, isOfAct = false }: ConflictProps) {
  const { words } = useWords();
  const notice = useRef<HTMLDivElement>(null);
  useEffect(() => notice.current?.scrollIntoView({ block: 'nearest' }), []);
  return (
    <div ref={notice} class="panel" role="alert">
      <p>
        <strong>{title ?? words.forms.changedMeanwhile}</strong>{' '}
        {isOfAct ? words.forms.changedBeforeAct : words.forms.changedMeanwhileLead}
      </p>
      <DifferenceTable before={base} after={now} label={words.forms.changedTable} />
      <div class="buttons">
        <button type="button" class="button button-main" onClick={apply}>
          {isOfAct ? words.forms.goOn : words.forms.applyAgain}
        </button>
      </div>
    </div>
  );
}
