/** One experiment: its plan, what it has shown and may still show, and what can be done with it. */
import { useQuery } from '../api/use-query.ts';
import {
  OneExperimentDocument,
  ResultsOfExperimentDocument,
  type ExperimentPlanFragment,
} from '../generated/operations.ts';
import { flagPath } from '../navigation/paths.ts';
import { Link } from '../navigation/router.tsx';
import { FaultNotice, Loading, Page, Time } from '../parts/parts.tsx';
import { useMetricChoice } from '../rollouts/guard-fields.tsx';
import { useWords } from '../words/language.ts';
import { ExperimentActions } from './experiment-actions.tsx';
import { ExperimentBadge } from './experiments-page.tsx';
import { EffectPanel, SegmentsPanel } from './explore-panel.tsx';
import { FurtherPanel } from './further-panel.tsx';
import { ResultsPanel } from './results-panel.tsx';

/** The milliseconds between two polls of a running experiment. */
const POLL_MS = 30_000;

function Plan({ experiment }: { readonly experiment: ExperimentPlanFragment }) {
  const { words, formats } = useWords();
  const texts = words.experiments;
  const { status, startDate, endDate, sampleSize, confidenceLevel, primaryMetric } = experiment;
  return (
    <dl class="facts">
      <div>
        <dt>{words.status}</dt>
        <dd>
          <ExperimentBadge status={status} />
        </dd>
      </div>
      <div>
        <dt>{texts.primaryMetric}</dt>
        <dd>
          <code>{primaryMetric}</code>
        </dd>
      </div>
      <div>
        <dt>{texts.sampleSize}</dt>
        <dd>{formats.number(sampleSize)}</dd>
      </div>
      <div>
        <dt>{texts.confidence}</dt>
        <dd>{formats.percent(confidenceLevel * 100)}</dd>
      </div>
      <div>
        <dt>{status === 'DRAFT' ? texts.startDate : texts.begun}</dt>
        <dd>
          <Time at={startDate} />
        </dd>
      </div>
      {endDate !== null && (
        <div>
          <dt>{status === 'COMPLETED' ? texts.end : texts.endDate}</dt>
          <dd>
            <Time at={endDate} />
          </dd>
        </div>
      )}
    </dl>
  );
}

function Results({ experiment }: { readonly experiment: ExperimentPlanFragment }) {
  const { id, status, flag, primaryMetric } = experiment;
  const { data, fault, refresh } = useQuery(
    ResultsOfExperimentDocument,
    { id },
    { everyMs: status === 'RUNNING' ? POLL_MS : undefined },
  );
  const { declared } = useMetricChoice(flag.key);
  const results = data?.experiment?.results ?? null;
  return (
    <>
      {fault !== null && <FaultNotice fault={fault} retry={refresh} />}
      {data === null && fault === null && <Loading />}
      {results !== null && (
        <>
          <ResultsPanel
            experiment={experiment}
            results={results}
            better={declared.get(primaryMetric)?.better ?? null}
          />
          <FurtherPanel results={results} />
        </>
      )}
    </>
  );
}

/** The page of one experiment. */
export function ExperimentPage({ id }: { readonly id: string }) {
  const { words } = useWords();
  const texts = words.experiments;
  const { data, fault, refresh } = useQuery(
    OneExperimentDocument,
    { id },
    { concerns: ({ about }) => about === 'flag', everyMs: POLL_MS },
  );
  const experiment = data?.experiment ?? null;
  if (experiment === null)
    return (
      <Page title={texts.title}>
        {fault !== null && <FaultNotice fault={fault} retry={refresh} />}
        {data === null && fault === null && <Loading />}
        {data !== null && (
          <p class="empty">
            {texts.noSuch} <Link to="/experiments">{texts.toList}</Link>
          </p>
        )}
      </Page>
    );
  const { status, flag, description, cancelReason } = experiment;
  const isOpen = status === 'DRAFT' || status === 'RUNNING';
  const hasBegun = status === 'RUNNING' || status === 'COMPLETED';
  return (
    <Page
      title={experiment.name}
      beside={isOpen ? <ExperimentActions key={status} experiment={experiment} done={refresh} /> : undefined}
    >
      <p class="flag-sub">
        <Link to={flagPath(flag.key)}>{flag.name}</Link> <code>{flag.key}</code>
      </p>
      {fault !== null && <FaultNotice fault={fault} retry={refresh} />}
      {description !== null && <p class="lead">{description}</p>}
      {cancelReason !== null && <p class="notice">{texts.cancelledBecause(words.quoted(cancelReason))}</p>}
      {status === 'DRAFT' && <p class="notice">{texts.draftLead}</p>}
      <Plan experiment={experiment} />
      {hasBegun && (
        <>
          <Results key={status} experiment={experiment} />
          <EffectPanel key={`effect ${status}`} id={id} isRunning={status === 'RUNNING'} />
          <SegmentsPanel key={`segments ${status}`} id={id} isRunning={status === 'RUNNING'} />
        </>
      )}
    </Page>
  );
}
