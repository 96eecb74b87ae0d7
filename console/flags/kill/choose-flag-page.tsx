/** The first step of a kill: which flag. */
import { useState } from 'preact/hooks';
import { useQuery } from '../../api/use-query.ts';
import { FlagsToKillDocument } from '../../generated/operations.ts';
import { flagPath } from '../../navigation/paths.ts';
import { Link } from '../../navigation/router.tsx';
import { Badge, FaultNotice, Loading, Page } from '../../parts/parts.tsx';
import { SearchField } from '../../parts/search-field.tsx';
import { useWords } from '../../words/language.ts';

/** The page on which the flag is chosen whose kill switch is to be pulled. */
export function ChooseFlagPage() {
  const { words } = useWords();
  const [search, setSearch] = useState('');
  const { data, fault, refresh } = useQuery(
    FlagsToKillDocument,
    { filter: { killed: false, ...(search !== '' && { search }) } },
    { concerns: ({ about }) => about === 'flag' },
  );
  return (
    <Page title={words.kill}>
      <p class="lead">{words.killChooseLead}</p>
      <SearchField
        label={words.searchFlags}
        placeholder={words.searchFlagsHint}
        autoFocus
        value={search}
        search={setSearch}
      />
      {fault !== null && <FaultNotice fault={fault} retry={refresh} />}
      {data === null && fault === null && <Loading />}
      {data !== null && data.flags.nodes.length === 0 && <p class="empty">{words.noFlagsFound}</p>}
      {data !== null && (
        <ul class="choices">
          {data.flags.nodes.map(({ key, name, environment }) => (
            <li key={key}>
              <Link to={flagPath(key, '/kill')} class="choice">
                <span class="flag-name">{name}</span>
                <code class="flag-key">{key}</code>
                <Badge>{words.environments[environment]}</Badge>
              </Link>
            </li>
          ))}
        </ul>
      )}
      {data !== null && data.flags.totalCount > data.flags.nodes.length && <p class="quiet">{words.killMoreFlags}</p>}
    </Page>
  );
}
