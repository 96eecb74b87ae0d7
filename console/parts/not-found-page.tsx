import { Link } from '../navigation/router.tsx';
import { useWords } from '../words/language.ts';
import { Page } from './parts.tsx';

/** The page for a path that leads nowhere. */
export function NotFoundPage() {
  const { words } = useWords();
  return (
    <Page title={words.notFound}>
      <p class="empty">
        {words.notFoundLead} <Link to="/flags">{words.toFlags}</Link>
      </p>
    </Page>
  );
}
