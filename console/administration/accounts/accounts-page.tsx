/** The accounts of all people: found by name, e-mail or department, by role and state. */
import { useAuditNews } from '../../api/audit-news.ts';
import { useQuery } from '../../api/use-query.ts';
import { AccountsDocument, type AccountsQuery, type Role } from '../../generated/operations.ts';
import { accountPath, withQuery } from '../../navigation/paths.ts';
import { Link, goTo, usePlace } from '../../navigation/router.tsx';
import { Pager, usePaging } from '../../parts/pager.tsx';
import { Badge, FaultNotice, Loading, Page, Results, Time } from '../../parts/parts.tsx';
import { SearchField } from '../../parts/search-field.tsx';
import { Select } from '../../parts/select.tsx';
import { TableHead } from '../../parts/table-head.tsx';
import { useAdministrationWords } from '../../words/use-administration-words.ts';

const PAGE_SIZE = 25;
export const ROLES: readonly Role[] = ['READ', 'WRITE', 'SAFETY', 'ADMIN'];
const STATES = ['active', 'inactive'] as const;

/** The filters that are chosen; null: all. */
interface AccountChoice {
  readonly search: string;
  readonly role: Role | null;
  readonly state: (typeof STATES)[number] | null;
}

interface FiltersProps {
  readonly chosen: AccountChoice;
  readonly choose: (next: Partial<AccountChoice>) => void;
}

function AccountFilters({ chosen, choose }: FiltersProps) {
  const { words, own } = useAdministrationWords();
  return (
    <form class="filters" role="search" onSubmit={(event) => event.preventDefault()}>
      <SearchField label={own.searchAccounts} value={chosen.search} search={(search) => choose({ search })} />
      <div class="filter-row">
        <Select
          label={own.role}
          value={chosen.role}
          none={words.any}
          options={ROLES.map((role) => [role, words.roles[role]])}
          onChoose={(role) => choose({ role })}
        />
        <Select
          label={words.state}
          value={chosen.state}
          none={words.any}
          options={STATES.map((state) => [state, own.accountStates[state]])}
          onChoose={(state) => choose({ state })}
        />
      </div>
    </form>
  );
}

type Account = AccountsQuery['users']['nodes'][number];

function AccountTable({ accounts, loading }: { readonly accounts: readonly Account[]; readonly loading: boolean }) {
  const { words, own } = useAdministrationWords();
  return (
    <table class="table table-flags" aria-busy={loading}>
      <TableHead columns={[own.person, own.role, words.fields.department, words.state, own.lastSignIn]} />
      <tbody>
        {accounts.map(({ id, name, email, role, department, isActive, lastLoginAt }) => (
          <tr key={id}>
            <th scope="row">
              <Link to={accountPath(id)} class="flag-link">
                <span class="flag-name">{name}</span>
                <span class="quiet">{email}</span>
              </Link>
            </th>
            <td data-label={own.role}>{words.roles[role]}</td>
            <td data-label={words.fields.department} class="wrapping">
              {department}
            </td>
            <td data-label={words.state}>
              <Badge tone={isActive ? 'accent' : 'faint'}>{own.accountStates[isActive ? 'active' : 'inactive']}</Badge>
            </td>
            <td data-label={own.lastSignIn} class="quiet">
              {lastLoginAt === null ? words.never : <Time at={lastLoginAt} />}
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

/** The page that lists the accounts and finds some. What is chosen stands in its address. */
export function AccountsPage() {
  const { words, own, formats } = useAdministrationWords();
  const { query } = usePlace();
  const given = new URLSearchParams(query);
  const chosen: AccountChoice = {
    search: given.get('search') ?? '',
    role: ROLES.find((role) => role === given.get('role')) ?? null,
    state: STATES.find((state) => state === given.get('state')) ?? null,
  };
  const paging = usePaging(PAGE_SIZE, withQuery('/accounts', { ...chosen }));
  const { data, fault, loading, refresh } = useQuery(AccountsDocument, {
    filter: {
      ...(chosen.search !== '' && { search: chosen.search }),
      ...(chosen.role !== null && { role: chosen.role }),
      ...(chosen.state !== null && { isActive: chosen.state === 'active' }),
    },
    ...paging.page,
  });
  useAuditNews((action) => /USER|SIGN_IN$/.test(action) && refresh());
  const found = data?.users ?? null;
  return (
    <Page
      title={words.accounts}
      beside={
        <Link to="/accounts/new" class="button button-main">
          {own.newAccount}
        </Link>
      }
    >
      <AccountFilters
        chosen={chosen}
        choose={(next) => goTo(withQuery('/accounts', { ...chosen, ...next }), { replace: true })}
      />
      {fault !== null && <FaultNotice fault={fault} retry={refresh} />}
      {found === null && loading && <Loading />}
      {found !== null && (
        <>
          <Results
            count={own.accountsFound(found.totalCount, formats.number(found.totalCount))}
            none={found.nodes.length === 0 ? own.noAccountFound : null}
          >
            <AccountTable accounts={found.nodes} loading={loading} />
          </Results>
          <Pager paging={paging} pageInfo={found.pageInfo} label={own.pagesOfAccounts} />
        </>
      )}
    </Page>
  );
}
