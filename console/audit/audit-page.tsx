/** The audit log: who did what, when and from where, as it happens; and whether its chain is unbroken. */
import { useAuditNews } from '../api/audit-news.ts';
import { useQuery } from '../api/use-query.ts';
import { DifferenceTable } from '../changes/difference-table.tsx';
import { AuditLogDocument, type AuditLogQuery } from '../generated/operations.ts';
import { membersOf, textAt } from '../json.ts';
import { flagPath, withQuery } from '../navigation/paths.ts';
import { Link, goTo, usePlace } from '../navigation/router.tsx';
import { Pager, usePaging } from '../parts/pager.tsx';
import { FaultNotice, Loading, Page, Time } from '../parts/parts.tsx';
import { may, sessionState } from '../session/session.ts';
import { useStore } from '../store.ts';
import { useWords } from '../words/language.ts';
import { readAuditChoice, type AuditChoice } from './audit-choice.ts';
import { AuditFilters } from './audit-filters.tsx';
import { ChainState } from './chain-state.tsx';

const PAGE_SIZE = 25;

type Entry = AuditLogQuery['auditLogs']['nodes'][number];

interface EntryProps {
  readonly entry: Entry;
  /** Shows the entries of one person alone. */
  readonly showPerson: (id: string) => void;
}

function EntryItem({ entry, showPerson }: EntryProps) {
  const { words } = useWords();
  const { action, flag, user, apiKey, createdAt, beforeValue, afterValue, ipAddress, requestId } = entry;
  const name = textAt(words.actions, action) ?? action;
  const { reason, comment } = membersOf(afterValue);
  const why = [reason, comment].find((text) => typeof text === 'string');
  return (
    <li>
      <details class="entry">
        <summary>
          <span class="entry-what">{name}</span>
          {flag !== null && <code>{flag.key}</code>}
          <span class="quiet">
            {user?.name ?? apiKey?.name ?? words.theSystem} · <Time at={createdAt} />
          </span>
          {typeof why === 'string' && <span class="entry-why">{words.quoted(why)}</span>}
        </summary>
        <DifferenceTable before={beforeValue} after={afterValue} label={name} />
        <p class="quiet">
          {flag !== null && (
            <>
              <Link to={flagPath(flag.key)}>{flag.name}</Link>{' '}
            </>
          )}
          {ipAddress !== null && words.fromAddress(ipAddress)} {requestId !== null && words.faultRequest(requestId)}
        </p>
        {user !== null && (
          <p>
            <button type="button" class="button" onClick={() => showPerson(user.id)}>
              {words.onlyThisPerson}
            </button>
          </p>
        )}
      </details>
    </li>
  );
}

/** The page of the audit log. */
export function AuditPage() {
  const { words, formats } = useWords();
  const { session } = useStore(sessionState);
  const { query } = usePlace();
  const chosen = readAuditChoice(query);
  const choose = (next: Partial<AuditChoice>) => goTo(withQuery('/audit', { ...chosen, ...next }), { replace: true });
  const paging = usePaging(PAGE_SIZE, withQuery('/audit', { ...chosen }));
  const { data, fault, loading, refresh } = useQuery(AuditLogDocument, {
    filter: {
      ...(chosen.action !== null && { action: chosen.action }),
      ...(chosen.flag !== '' && { flagKey: chosen.flag }),
      ...(chosen.person !== null ? { userId: chosen.person } : chosen.name !== '' && { person: chosen.name }),
      ...(chosen.from !== null && { from: chosen.from }),
      ...(chosen.to !== null && { to: chosen.to }),
    },
    ...paging.page,
  });
  useAuditNews(refresh);
  return (
    <Page title={words.auditLog}>
      {may(session, 'checkChain') && <ChainState />}
      <AuditFilters chosen={chosen} choose={choose} />
      {fault !== null && <FaultNotice fault={fault} retry={refresh} />}
      {data === null && loading && <Loading />}
      {data !== null && (
        <section class="panel" aria-labelledby="entries-title">
          <h2 id="entries-title">
            {words.entries(data.auditLogs.totalCount, formats.number(data.auditLogs.totalCount))}
          </h2>
          {data.auditLogs.nodes.length === 0 && <p class="quiet">{words.noEntries}</p>}
          <ol class="entries">
            {data.auditLogs.nodes.map((entry) => (
              <EntryItem key={entry.id} entry={entry} showPerson={(person) => choose({ person, name: '' })} />
            ))}
          </ol>
          <Pager paging={paging} pageInfo={data.auditLogs.pageInfo} label={words.pagesOfAudit} />
        </section>
      )}
    </Page>
  );
}
