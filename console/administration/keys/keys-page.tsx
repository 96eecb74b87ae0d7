/** The API keys of partners' programs. */
import { presentTime } from '../../api/clock.ts';
import { useAuditNews } from '../../api/audit-news.ts';
import { useQuery } from '../../api/use-query.ts';
import { KeysDocument } from '../../generated/operations.ts';
import { keyPath, withQuery } from '../../navigation/paths.ts';
import { Link, goTo, usePlace } from '../../navigation/router.tsx';
import { FaultNotice, Loading, Page, Results, Time } from '../../parts/parts.tsx';
import { Select } from '../../parts/select.tsx';
import { TableHead } from '../../parts/table-head.tsx';
import { useAdministrationWords } from '../../words/use-administration-words.ts';
import { KeyBadge } from './key-badge.tsx';
import { keyState } from './key-state.ts';

const FILTERS = ['valid', 'all'] as const;
/** The milliseconds between two polls of the keys, because no event says when a key was used. */
const POLL_MS = 30_000;

/** The page that lists the API keys. */
export function KeysPage() {
  const { words, own, formats } = useAdministrationWords();
  const { query } = usePlace();
  const shown = FILTERS.find((one) => one === new URLSearchParams(query).get('keys')) ?? 'valid';
  const { data, fault, loading, refresh } = useQuery(KeysDocument, {}, { everyMs: POLL_MS });
  useAuditNews((action) => action.endsWith('API_KEY') && refresh());
  const keys = data?.apiKeys.filter((key) => shown === 'all' || keyState(key, presentTime()) === 'valid') ?? null;
  return (
    <Page
      title={words.apiKeys}
      beside={
        <Link to="/keys/new" class="button button-main">
          {own.newKey}
        </Link>
      }
    >
      <div class="filter-row">
        <Select
          label={own.keysShown}
          value={shown}
          options={FILTERS.map((one) => [one, own.keyFilters[one]])}
          onChoose={(next) => goTo(withQuery('/keys', { keys: next === 'valid' ? null : next }), { replace: true })}
        />
      </div>
      {fault !== null && <FaultNotice fault={fault} retry={refresh} />}
      {keys === null && loading && <Loading />}
      {keys !== null && (
        <>
          <Results
            count={own.keysFound(keys.length, formats.number(keys.length))}
            none={keys.length === 0 ? own.noKeys : null}
          >
            <table class="table table-flags">
              <TableHead columns={[own.key, own.role, own.rateLimit, words.state, own.lastUsed, own.expires]} />
              <tbody>
                {keys.map((key) => (
                  <tr key={key.id}>
                    <th scope="row">
                      <Link to={keyPath(key.id)} class="flag-link">
                        <span class="flag-name">{key.name}</span>
                        <code class="flag-key">{key.keyPrefix}</code>
                      </Link>
                    </th>
                    <td data-label={own.role}>{words.roles[key.role]}</td>
                    <td data-label={own.rateLimit}>{own.perMinute(formats.number(key.rateLimitPerMin))}</td>
                    <td data-label={words.state}>
                      <KeyBadge apiKey={key} />
                    </td>
                    <td data-label={own.lastUsed} class="quiet wrapping">
                      {key.lastUsedAt === null ? words.never : <Time at={key.lastUsedAt} />}
                    </td>
                    <td data-label={own.expires} class="quiet wrapping">
                      {key.expiresAt === null ? own.expiresNever : <Time at={key.expiresAt} />}
                    </td>
                  </tr>
                ))}
              </tbody>
            </table>
          </Results>
        </>
      )}
    </Page>
  );
}
