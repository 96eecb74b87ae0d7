/** The numbers of releases that run and that hold, with the ways to their flags; nothing where none is under way. */
import { useQuery } from '../api/use-query.ts';
import { ReleasesNowDocument } from '../generated/operations.ts';
import { withQuery } from '../navigation/paths.ts';
import { Link } from '../navigation/router.tsx';
import { useWords } from '../words/language.ts';

/** The milliseconds between two polls, because no event reports that a release holds. */
const POLL_MS = 15_000;

/** Shows the notice above the list of flags. */
export function ReleasesNow() {
  const { words } = useWords();
  const { data } = useQuery(ReleasesNowDocument, {}, { concerns: ({ about }) => about === 'flag', everyMs: POLL_MS });
  const running = data?.running.totalCount ?? 0;
  const holding = data?.holding.totalCount ?? 0;
  if (running + holding === 0) return null;
  return (
    <p class="notice">
      {running > 0 && <Link to={withQuery('/flags', { state: 'release' })}>{words.releasesRun(running)}</Link>}
      {running > 0 && holding > 0 && ' · '}
      {holding > 0 && (
        <strong>
          <Link to={withQuery('/flags', { state: 'holding' })}>{words.releasesHold(holding)}</Link>
        </strong>
      )}
    </p>
  );
}
