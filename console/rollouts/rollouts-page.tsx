/** The rollouts that wait, run or are paused, of all flags. */
import { useQuery } from '../api/use-query.ts';
import { LevelBadge } from '../flags/flag-badges.tsx';
import { RolloutsDocument, type RolloutsQuery } from '../generated/operations.ts';
import { rolloutPath } from '../navigation/paths.ts';
import { Link } from '../navigation/router.tsx';
import { NumberCell } from '../parts/number-cell.tsx';
import { Pager, usePaging } from '../parts/pager.tsx';
import { FaultNotice, Loading, Page, Time } from '../parts/parts.tsx';
import { TableHead } from '../parts/table-head.tsx';
import { useWords } from '../words/language.ts';
import { VerdictBadge } from './guard-panel.tsx';
import { isFinal } from './rollout-lines.ts';
import { StatusBadge } from './status-badge.tsx';

const PAGE_SIZE = 25;
/** The milliseconds between two polls, because no event reports a verdict or the status of a rollout. */
const POLL_MS = 10_000;

type Flag = RolloutsQuery['flags']['nodes'][number];

const activeOf = ({ rules }: Flag) =>
  rules.flatMap(({ id, rollout }) =>
    rollout === null || rollout === undefined || isFinal(rollout) ? [] : [{ id, rollout }],
  );

function RolloutRow({ flag, rule: { id, rollout } }: { flag: Flag; rule: ReturnType<typeof activeOf>[number] }) {
  const { words, formats } = useWords();
  const texts = words.rollouts;
  const { nextStepAt, guard, guardStatus } = rollout;
  return (
    <tr>
      <th scope="row">
        <Link to={rolloutPath(flag.key, id)} class="flag-link">
          <span class="flag-name">{flag.name}</span>
          <code class="flag-key">{flag.key}</code>
        </Link>
      </th>
      <td data-label={texts.state}>
        <StatusBadge status={rollout.status} />
      </td>
      <NumberCell label={texts.share}>{formats.percent(rollout.currentPercentage)}</NumberCell>
      <td data-label={texts.verdict}>
        {guardStatus !== null && guardStatus !== undefined ? (
          <VerdictBadge verdict={guardStatus.verdict} />
        ) : (
          <span class="quiet">{guard?.metric ?? words.nothing}</span>
        )}
      </td>
      <td data-label={words.safetyLevel}>
        <LevelBadge level={flag.safetyLevel} />
      </td>
      <td data-label={texts.nextStep} class="quiet">
        {nextStepAt === null || nextStepAt === undefined ? '–' : <Time at={nextStepAt} />}
      </td>
    </tr>
  );
}

/** Shows the rollouts, page by page. They are read again at intervals. */
export function RolloutsPage() {
  const { words, formats } = useWords();
  const texts = words.rollouts;
  const paging = usePaging(PAGE_SIZE, 'rollouts');
  const { data, fault, refresh } = useQuery(RolloutsDocument, paging.page, {
    concerns: ({ about }) => about === 'flag' || about === 'request',
    everyMs: POLL_MS,
  });
  const flags = data?.flags ?? null;
  return (
    <Page title={texts.title}>
      <p class="lead">{texts.lead}</p>
      {fault !== null && <FaultNotice fault={fault} retry={refresh} />}
      {flags === null && fault === null && <Loading />}
      {flags !== null && flags.totalCount === 0 && <p class="empty">{texts.none}</p>}
      {flags !== null && flags.totalCount > 0 && (
        <>
          <p class="quiet count" role="status">
            {texts.count(flags.totalCount, formats.number(flags.totalCount))}
          </p>
          <table class="table table-flags" aria-label={texts.title}>
            <TableHead
              columns={[
                words.flag,
                texts.state,
                { number: texts.share },
                texts.verdict,
                words.safetyLevel,
                texts.nextStep,
              ]}
            />
            <tbody>
              {flags.nodes.flatMap((flag) =>
                activeOf(flag).map((rule) => <RolloutRow key={rule.id} flag={flag} rule={rule} />),
              )}
            </tbody>
          </table>
          <Pager paging={paging} pageInfo={flags.pageInfo} label={texts.pages} />
        </>
      )}
    </Page>
  );
}
