/** A flag's entries of the audit log, newest first, each with the difference that it made. */
import { useQuery } from '../api/use-query.ts';
import { DifferenceTable } from '../changes/difference-table.tsx';
import { FlagHistoryDocument, type FlagHistoryQuery } from '../generated/operations.ts';
import { membersOf, textAt } from '../json.ts';
import { flagPath } from '../navigation/paths.ts';
import { Link } from '../navigation/router.tsx';
import { Pager, usePaging } from '../parts/pager.tsx';
import { FaultNotice, Loading, Time } from '../parts/parts.tsx';
import { useWords } from '../words/language.ts';

const PAGE_SIZE = 10;

type Entry = NonNullable<FlagHistoryQuery['flag']>['history']['nodes'][number];

function HistoryItem({ entry }: { readonly entry: Entry }) {
  const { words } = useWords();
  const name = textAt(words.actions, entry.action) ?? entry.action;
  const { reason, comment } = membersOf(entry.afterValue);
  const why = [reason, comment].find((text) => typeof text === 'string');
  return (
    <li>
      <details class="entry">
        <summary>
          <span class="entry-what">{name}</span>
          <span class="quiet">
            {entry.user?.name ?? entry.apiKey?.name ?? words.theSystem} · <Time at={entry.createdAt} />
          </span>
          {typeof why === 'string' && <span class="entry-why">{words.quoted(why)}</span>}
        </summary>
        <DifferenceTable before={entry.beforeValue} after={entry.afterValue} label={name} />
      </details>
    </li>
  );
}

/** Shows the history of a flag, page by page. */
export function FlagHistory({ flagKey }: { readonly flagKey: string }) {
  const { words } = useWords();
  const paging = usePaging(PAGE_SIZE, flagKey);
  const { data, fault, refresh } = useQuery(
    FlagHistoryDocument,
    { key: flagKey, ...paging.page },
    { concerns: (news) => news.about === 'request' || (news.about === 'flag' && news.key === flagKey) },
  );
  const history = data?.flag?.history ?? null;
  return (
    <section class="panel" aria-labelledby="history-title">
      <h2 id="history-title">{words.history}</h2>
      <p>
        <Link to={flagPath(flagKey, '/versions')}>{words.forms.versions}</Link>
      </p>
      {fault !== null && <FaultNotice fault={fault} retry={refresh} />}
      {history === null && fault === null && <Loading />}
      {history !== null && (
        <>
          {history.nodes.length === 0 && <p class="quiet">{words.noHistory}</p>}
          <ol class="entries">
            {history.nodes.map((entry) => (
              <HistoryItem key={entry.id} entry={entry} />
            ))}
          </ol>
          <Pager paging={paging} pageInfo={history.pageInfo} label={words.pagesOfHistory} />
        </>
      )}
    </section>
  );
}
