/** The list of experiments, narrowed by status and flag; what is chosen stands in the page's address. */
import { useQuery } from '../api/use-query.ts';
import { ExperimentsDocument, type ExperimentRowFragment, type ExperimentStatus } from '../generated/operations.ts';
import { experimentPath, flagPath, withQuery } from '../navigation/paths.ts';
import { Link, goTo, usePlace } from '../navigation/router.tsx';
import { NumberCell } from '../parts/number-cell.tsx';
import { Pager, usePaging } from '../parts/pager.tsx';
import { Badge, FaultNotice, Loading, Page, Time, type BadgeTone } from '../parts/parts.tsx';
import { Select } from '../parts/select.tsx';
import { TableHead } from '../parts/table-head.tsx';
import { may, sessionState } from '../session/session.ts';
import { useStore } from '../store.ts';
import { useWords } from '../words/language.ts';
import { effectText } from './verdict.ts';

const PAGE_SIZE = 25;
/** The milliseconds between two polls, because no event says that an experiment has begun or ended. */
const POLL_MS = 15_000;
const STATUSES: readonly ExperimentStatus[] = ['DRAFT', 'RUNNING', 'COMPLETED', 'CANCELLED'];
const TONES: Readonly<Record<ExperimentStatus, BadgeTone>> = {
  DRAFT: 'plain',
  RUNNING: 'accent',
  COMPLETED: 'strong',
  CANCELLED: 'faint',
};

/** The badge that names the status of an experiment. */
export function ExperimentBadge({ status }: { readonly status: ExperimentStatus }) {
  const { words } = useWords();
  return <Badge tone={TONES[status]}>{words.experiments.status[status]}</Badge>;
}

function Row({ experiment }: { readonly experiment: ExperimentRowFragment }) {
  const spoken = useWords();
  const texts = spoken.words.experiments;
  const { id, name, status, flag, primaryMetric, startDate, improvementPercent } = experiment;
  return (
    <tr>
      <th scope="row">
        <Link to={experimentPath(id)} class="flag-link">
          <span class="flag-name">{name}</span>
          <code class="flag-key">{flag.key}</code>
        </Link>
      </th>
      <td data-label={spoken.words.status}>
        <ExperimentBadge status={status} />
      </td>
      <td data-label={texts.metric}>
        <code>{primaryMetric}</code>
      </td>
      <NumberCell label={texts.effect}>{effectText(improvementPercent, spoken)}</NumberCell>
      <td data-label={texts.begun} class="quiet">
        <Time at={startDate} />
      </td>
    </tr>
  );
}

/** The page that lists the experiments. */
export function ExperimentsPage() {
  const { words, formats } = useWords();
  const texts = words.experiments;
  const { session } = useStore(sessionState);
  const { query } = usePlace();
  const given = new URLSearchParams(query);
  const flagKey = given.get('flag') ?? '';
  const status = STATUSES.find((one) => one === given.get('status')) ?? null;
  const filter = { ...(flagKey !== '' && { flagKey }), ...(status !== null && { status }) };
  const paging = usePaging(PAGE_SIZE, JSON.stringify(filter));
  const { data, fault, refresh } = useQuery(
    ExperimentsDocument,
    { filter, ...paging.page },
    { concerns: ({ about }) => about === 'flag', everyMs: POLL_MS },
  );
  const found = data?.experiments ?? null;
  const isNarrowed = Object.keys(filter).length > 0;
  return (
    <Page
      title={texts.title}
      beside={
        may(session, 'change') ? (
          <Link to={withQuery('/experiments/new', { flag: flagKey })} class="button button-main">
            {texts.plan}
          </Link>
        ) : (
          <span class="quiet">{texts.mayNot}</span>
        )
      }
    >
      <p class="lead">{texts.lead}</p>
      {flagKey !== '' && (
        <p>
          {words.flag}: <Link to={flagPath(flagKey)}>{flagKey}</Link>{' '}
          <Link to={withQuery('/experiments', { status })}>{texts.toList}</Link>
        </p>
      )}
      <div class="filter-row">
        <Select
          label={words.status}
          value={status}
          none={words.any}
          options={STATUSES.map((one) => [one, texts.status[one]])}
          onChoose={(next) => goTo(withQuery('/experiments', { flag: flagKey, status: next }), { replace: true })}
        />
      </div>
      {fault !== null && <FaultNotice fault={fault} retry={refresh} />}
      {found === null && fault === null && <Loading />}
      {found !== null && found.totalCount === 0 && <p class="empty">{isNarrowed ? texts.noneFound : texts.none}</p>}
      {found !== null && found.totalCount > 0 && (
        <>
          <p class="quiet count" role="status">
            {texts.count(found.totalCount, formats.number(found.totalCount))}
          </p>
          <table class="table table-flags" aria-label={texts.title}>
            <TableHead columns={[texts.name, words.status, texts.metric, { number: texts.effect }, texts.begun]} />
            <tbody>
              {found.nodes.map((experiment) => (
                <Row key={experiment.id} experiment={experiment} />
              ))}
            </tbody>
          </table>
          <Pager paging={paging} pageInfo={found.pageInfo} label={texts.pages} />
        </>
      )}
    </Page>
  );
}
