/** One rollout: how far it is and why, its share and its guard over time, its steps, and what can be done with it. */
import { presentTime } from '../api/clock.ts';
import { useQuery } from '../api/use-query.ts';
import { RolloutOfRuleDocument, type RolloutOfRuleQuery, type RolloutPartsFragment } from '../generated/operations.ts';
import { flagPath, rolloutPath } from '../navigation/paths.ts';
import { Link } from '../navigation/router.tsx';
import { NumberCell } from '../parts/number-cell.tsx';
import { FaultNotice, Loading, Page, Time } from '../parts/parts.tsx';
import { TableHead } from '../parts/table-head.tsx';
import { ruleSentences, servedValue } from '../flags/rules/rule-words.ts';
import { may, sessionState } from '../session/session.ts';
import { useStore } from '../store.ts';
import { useWords } from '../words/language.ts';
import { GuardPanel } from './guard-panel.tsx';
import { pauseReason } from './pause-reason.ts';
import { RolloutActions } from './rollout-actions.tsx';
import { ShareChart } from './rollout-chart.tsx';
import { isFinal } from './rollout-lines.ts';
import { StatusBadge } from './status-badge.tsx';

/** The milliseconds between two polls, because no event reports a guard's verdict or the status of a rollout. */
const POLL_MS = 5_000;

type Flag = NonNullable<RolloutOfRuleQuery['flag']>;
type Rule = Flag['rules'][number];
type Rollout = RolloutPartsFragment;

interface RolloutPageProps {
  readonly flagKey: string;
  readonly ruleId: string;
}

/** Asks for a rule's rollout, again when its flag or a request changes and every few seconds. */
export function useRolloutOfRule(flagKey: string) {
  return useQuery(
    RolloutOfRuleDocument,
    { key: flagKey },
    {
      concerns: (news) => news.about === 'request' || (news.about === 'flag' && news.key === flagKey),
      everyMs: POLL_MS,
    },
  );
}

/** Says where the rollout stands, and why. */
function Standing({ rollout }: { readonly rollout: Rollout }) {
  const spoken = useWords();
  const { words, formats } = spoken;
  const { status, pausedReason, changeRequest, watchedUntil, nextStepAt } = rollout;
  const texts = words.rollouts;
  const waits = status === 'WAITING_FOR_APPROVAL' || (status === 'PAUSED' && changeRequest?.status === 'PENDING');
  const isOverdue = nextStepAt !== null && nextStepAt !== undefined && Date.parse(nextStepAt) < presentTime();
  return (
    <>
      {status === 'PULLED_BACK' && (
        <div class="notice notice-killed">
          <p>
            <strong>{words.rolloutStatus.PULLED_BACK}.</strong>{' '}
            {texts.pulledBack(formats.percent(rollout.guard?.initialPercentage ?? rollout.currentPercentage))}
          </p>
        </div>
      )}
      {status === 'PAUSED' && pausedReason !== null && pausedReason !== undefined && (
        <p class="notice">{texts.pausedBecause(pauseReason(pausedReason, spoken))}</p>
      )}
      {waits && (
        <div class="notice">
          <p>{status === 'PAUSED' ? texts.resumeWaits : texts.waits}</p>
          <Link to="/changes" class="button">
            {texts.toChanges}
          </Link>
        </div>
      )}
      <p>
        {status === 'RUNNING' && (watchedUntil === null || watchedUntil === undefined ? texts.running : texts.watching)}
        {status === 'RUNNING' && isOverdue && ` ${texts.overdue}`}
        {status === 'COMPLETED' && texts.completed}
        {status === 'CANCELLED' && texts.cancelled}
      </p>
    </>
  );
}

function Facts({ rollout }: { readonly rollout: Rollout }) {
  const { words, formats } = useWords();
  const texts = words.rollouts;
  const { nextStepAt, watchedUntil, approvedBy } = rollout;
  return (
    <dl class="facts">
      <div>
        <dt>{texts.state}</dt>
        <dd>
          <StatusBadge status={rollout.status} />
        </dd>
      </div>
      <div>
        <dt>{texts.share}</dt>
        <dd>{formats.percent(rollout.currentPercentage)}</dd>
      </div>
      {nextStepAt !== null && nextStepAt !== undefined && (
        <div>
          <dt>{texts.nextStep}</dt>
          <dd>
            <Time at={nextStepAt} />
          </dd>
        </div>
      )}
      {watchedUntil !== null && watchedUntil !== undefined && (
        <div>
          <dt>{texts.watchedUntil}</dt>
          <dd>
            <Time at={watchedUntil} />
          </dd>
        </div>
      )}
      <div>
        <dt>{texts.scheduledBy}</dt>
        <dd>{rollout.scheduledBy.name}</dd>
      </div>
      {approvedBy !== null && approvedBy !== undefined && (
        <div>
          <dt>{texts.approvedBy}</dt>
          <dd>{approvedBy.name}</dd>
        </div>
      )}
      <div>
        <dt>{texts.begun}</dt>
        <dd>
          <Time at={rollout.createdAt} />
        </dd>
      </div>
    </dl>
  );
}

function Steps({ rollout }: { readonly rollout: Rollout }) {
  const { words, formats } = useWords();
  const texts = words.rollouts;
  const final = isFinal(rollout);
  return (
    <table class="table" aria-label={texts.steps}>
      <TableHead columns={[texts.step, { number: texts.applied }, texts.due, texts.appliedAt]} />
      <tbody>
        {rollout.steps.map(({ percentage, at, appliedAt }, index) => (
          <tr key={percentage}>
            <th scope="row">{formats.number(index + 1)}</th>
            <NumberCell label={texts.applied}>{formats.percent(percentage)}</NumberCell>
            <td data-label={texts.due}>
              <Time at={at} />
            </td>
            <td data-label={texts.appliedAt}>
              {appliedAt === null || appliedAt === undefined ? (
                final ? (
                  words.never
                ) : (
                  texts.notYet
                )
              ) : (
                <Time at={appliedAt} />
              )}
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

/** Leads to the form for a new rollout, where the rule may have one. */
function PlanLink({ flag, rule }: { readonly flag: Flag; readonly rule: Rule }) {
  const { words } = useWords();
  const { session } = useStore(sessionState);
  const obstacle = obstacleToPlan(flag, rule);
  if (obstacle !== null) return <p class="quiet">{words.rollouts.obstacles[obstacle]}</p>;
  if (!may(session, 'change')) return <p class="quiet">{words.rollouts.mayNotPlan}</p>;
  return (
    <Link to={rolloutPath(flag.key, rule.id, '/plan')} class="button button-main">
      {rule.rollout === null || rule.rollout === undefined ? words.rollouts.plan : words.rollouts.planAgain}
    </Link>
  );
}

type Obstacle = 'type' | 'archived' | 'draft' | 'killed' | 'release' | 'active';

/** Says why a rule cannot have a new rollout; null where it can. */
export function obstacleToPlan(flag: Flag, rule: Rule): Obstacle | null {
  if (rule.type !== 'PERCENTAGE_ROLLOUT') return 'type';
  if (flag.archivedAt !== null && flag.archivedAt !== undefined) return 'archived';
  if (flag.draft) return 'draft';
  if (flag.killed) return 'killed';
  if (flag.release != null) return 'release';
  return rule.rollout !== null && rule.rollout !== undefined && !isFinal(rule.rollout) ? 'active' : null;
}

/** Shows the page of a rule's rollout. */
export function RolloutPage({ flagKey, ruleId }: RolloutPageProps) {
  const spoken = useWords();
  const { words } = spoken;
  const { data, fault, refresh } = useRolloutOfRule(flagKey);
  const flag = data?.flag ?? null;
  const rule = flag?.rules.find(({ id }) => id === ruleId);
  if (flag === null || rule === undefined)
    return (
      <Page title={words.rollouts.title}>
        {fault !== null && <FaultNotice fault={fault} retry={refresh} />}
        {data === null && fault === null && <Loading />}
        {data !== null && (
          <p class="empty">
            {flag === null ? words.noSuchFlag : words.rollouts.noSuchRule} <Link to="/flags">{words.toFlags}</Link>
          </p>
        )}
      </Page>
    );
  const rollout = rule.rollout ?? null;
  const served = servedValue(rule, flag.type, spoken);
  return (
    <Page
      title={words.rollouts.of(flag.name)}
      beside={
        rollout !== null && !isFinal(rollout) ? (
          <RolloutActions
            flagKey={flagKey}
            needsSecondPerson={flag.safetyLevel === 'ASIL_D'}
            rollout={rollout}
            done={refresh}
          />
        ) : undefined
      }
    >
      <p class="flag-sub">
        <Link to={flagPath(flagKey)}>{words.toFlag}</Link> <code>{flagKey}</code>
      </p>
      {fault !== null && <FaultNotice fault={fault} retry={refresh} />}
      <p>
        {ruleSentences(rule.type, rule.conditions, spoken).join(' ')}
        {served !== null && (
          <>
            {' '}
            {words.gives} <code>{served}</code>
          </>
        )}
      </p>
      {rollout === null ? (
        <p class="empty">{words.rollouts.noRollout}</p>
      ) : (
        <>
          <Standing rollout={rollout} />
          <Facts rollout={rollout} />
          <section class="panel" aria-labelledby="steps-title">
            <h2 id="steps-title">{words.rollouts.steps}</h2>
            <ShareChart rollout={rollout} />
            <Steps rollout={rollout} />
          </section>
          <GuardPanel flagKey={flagKey} ruleId={ruleId} rollout={rollout} />
        </>
      )}
      {(rollout === null || isFinal(rollout)) && (
        <div class="buttons">
          <PlanLink flag={flag} rule={rule} />
        </div>
      )}
    </Page>
  );
}
