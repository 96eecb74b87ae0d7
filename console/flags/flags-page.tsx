/** The list of flags: found by words and filters, which stand in the page's address. */
import { useQuery } from '../api/use-query.ts';
import { FlagsDocument, type FlagRowFragment } from '../generated/operations.ts';
import { flagPath, withQuery } from '../navigation/paths.ts';
import { Link, goTo, usePlace } from '../navigation/router.tsx';
import { Offer } from '../parts/offer.tsx';
import { Pager, usePaging } from '../parts/pager.tsx';
import { FaultNotice, Loading, Page, Time } from '../parts/parts.tsx';
import { SearchField } from '../parts/search-field.tsx';
import { Select } from '../parts/select.tsx';
import { TableHead } from '../parts/table-head.tsx';
import { mayNot, sessionState } from '../session/session.ts';
import { useStore } from '../store.ts';
import { useWords } from '../words/language.ts';
import { LevelBadge, ReleaseNote, RolloutNote, StateBadge } from './flag-badges.tsx';
import {
  FLAG_ORDERS,
  FLAG_STATES,
  FLAG_TYPES,
  SAFETY_LEVELS,
  choiceMembers,
  filterOf,
  orderOf,
  readChoice,
  type FlagChoice,
} from './flag-filter.ts';
import { ReleasesNow } from './releases-now.tsx';
import { ENVIRONMENTS } from '../api/environments.ts';

const PAGE_SIZE = 25;

function Filters({ choice, choose }: { readonly choice: FlagChoice; readonly choose: (choice: FlagChoice) => void }) {
  const { words } = useWords();
  return (
    <form class="filters" role="search" onSubmit={(event) => event.preventDefault()}>
      <SearchField
        label={words.searchFlags}
        placeholder={words.searchFlagsHint}
        value={choice.search}
        search={(search) => choose({ ...choice, search })}
      />
      <div class="filter-row">
        <Select
          label={words.state}
          value={choice.state}
          options={FLAG_STATES.map((state) => [state, words.states[state]])}
          onChoose={(state) => choose({ ...choice, state: state ?? 'all' })}
        />
        <Select
          label={words.environment}
          value={choice.environment}
          none={words.any}
          options={ENVIRONMENTS.map((environment) => [environment, words.environments[environment]])}
          onChoose={(environment) => choose({ ...choice, environment })}
        />
        <Select
          label={words.safetyLevel}
          value={choice.safetyLevel}
          none={words.any}
          options={SAFETY_LEVELS.map((level) => [level, words.levels[level]])}
          onChoose={(safetyLevel) => choose({ ...choice, safetyLevel })}
        />
        <Select
          label={words.type}
          value={choice.type}
          none={words.any}
          options={FLAG_TYPES.map((type) => [type, words.types[type]])}
          onChoose={(type) => choose({ ...choice, type })}
        />
        <Select
          label={words.order}
          value={choice.order}
          options={FLAG_ORDERS.map((order) => [order, words.orders[order]])}
          onChoose={(order) => choose({ ...choice, order: order ?? 'updated' })}
        />
      </div>
    </form>
  );
}

function Row({ flag }: { readonly flag: FlagRowFragment }) {
  const { words } = useWords();
  return (
    <tr>
      <th scope="row">
        <Link to={flagPath(flag.key)} class="flag-link">
          <span class="flag-name">{flag.name}</span>
          <code class="flag-key">{flag.key}</code>
        </Link>
      </th>
      <td data-label={words.state}>
        <StateBadge flag={flag} /> <ReleaseNote flag={flag} /> <RolloutNote flag={flag} />
      </td>
      <td data-label={words.safetyLevel}>
        <LevelBadge level={flag.safetyLevel} />
      </td>
      <td data-label={words.environment}>{words.environments[flag.environment]}</td>
      <td data-label={words.changed} class="quiet">
        <Time at={flag.updatedAt} />
      </td>
    </tr>
  );
}

/** The page that lists the flags and finds some. */
export function FlagsPage() {
  const { words, formats } = useWords();
  const { session } = useStore(sessionState);
  const { query } = usePlace();
  const choice = readChoice(query);
  const members = choiceMembers(choice);
  const list = withQuery('/flags', members);
  const paging = usePaging(PAGE_SIZE, list);
  const { data, fault, loading, refresh } = useQuery(
    FlagsDocument,
    { filter: filterOf(choice), orderBy: orderOf(choice), ...paging.page },
    { concerns: ({ about }) => about === 'flag' },
  );
  const choose = (next: FlagChoice) => goTo(withQuery('/flags', choiceMembers(next)), { replace: true });
  const isChosen = list !== '/flags';
  return (
    <Page
      title={words.flags}
      beside={
        <Offer why={mayNot(session, 'change', words)} to="/new-flag">
          {words.forms.newFlag}
        </Offer>
      }
    >
      <ReleasesNow />
      <Filters choice={choice} choose={choose} />
      {fault !== null && <FaultNotice fault={fault} retry={refresh} />}
      <p class="quiet count">
        <span role="status">
          {data === null ? '' : words.flagsFound(data.flags.totalCount, formats.number(data.flags.totalCount))}
        </span>
        {isChosen && (
          <>
            {' '}
            <Link to="/flags">{words.clearFilters}</Link>
          </>
        )}
      </p>
      {data === null && loading && <Loading />}
      {data !== null && data.flags.nodes.length === 0 && (
        <p class="empty">{isChosen ? words.noFlagsFound : words.noFlagsInUse}</p>
      )}
      {data !== null && data.flags.nodes.length > 0 && (
        <>
          <table class="table table-flags" aria-busy={loading}>
            <TableHead columns={[words.flag, words.state, words.safetyLevel, words.environment, words.changed]} />
            <tbody>
              {data.flags.nodes.map((flag) => (
                <Row key={flag.key} flag={flag} />
              ))}
            </tbody>
          </table>
          <Pager
            paging={paging}
            pageInfo={data.flags.pageInfo}
            label={words.pagesOfFlags}
            total={data.flags.totalCount}
            count={data.flags.nodes.length}
          />
        </>
      )}
    </Page>
  );
}
