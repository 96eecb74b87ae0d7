/** Shows the outcome of a sent change: it is applied, it waits for a second person, or it changed nothing. */
import { useEffect, useRef } from 'preact/hooks';
import { flagPath } from '../navigation/paths.ts';
import { Link } from '../navigation/router.tsx';
import { useWords } from '../words/language.ts';

/** The outcomes; `none` when the sent state equals the stored one. */
export type Outcome = 'applied' | 'waits' | 'none';

interface OutcomeProps {
  readonly outcome: Outcome;
  readonly flagKey: string;
  /** The text to show instead of the usual one of the outcome. */
  readonly text?: string;
}

/** The outcome of a change, in place of its form. */
export function ChangeOutcome({ outcome, flagKey, text }: OutcomeProps) {
  const { words } = useWords();
  const notice = useRef<HTMLDivElement>(null);
  // The form is gone, and the focus with it.
  useEffect(() => notice.current?.focus(), []);
  const usual = { applied: words.forms.saved, waits: words.forms.waits, none: words.forms.savedNothing }[outcome];
  return (
    <div ref={notice} class="notice" role="status" tabIndex={-1}>
      <p>
        {outcome === 'waits' && <strong>{words.waitsTitle} </strong>}
        {text ?? usual}
      </p>
      <div class="buttons">
        <Link to={flagPath(flagKey)} class="button">
          {words.toFlag}
        </Link>
        {outcome === 'waits' && (
          <Link to="/changes" class="button">
            {words.toWaitingChanges}
          </Link>
        )}
      </div>
    </div>
  );
}
