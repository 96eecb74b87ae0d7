/** A flag's metrics over time: evaluations and active vehicles by variant, and what vehicles measure for it. */
import { useState } from 'preact/hooks';
import { presentTime } from '../../api/clock.ts';
import { useQuery } from '../../api/use-query.ts';
import { Chart } from '../../parts/charts/chart.tsx';
import { MetricNamesDocument, MetricPointsDocument } from '../../generated/operations.ts';
import { FaultNotice, Loading, Time } from '../../parts/parts.tsx';
import { Select } from '../../parts/select.tsx';
import { useWords } from '../../words/language.ts';
import { PERIODS, linesByVariant, spanOf, type Period, type Point } from './points.ts';

/** The milliseconds between two polls; vehicles send their measurements once a minute. */
const POLL_MS = 60_000;
const EVALUATIONS = '$evaluations';

interface SeriesProps {
  readonly flagKey: string;
  readonly metric: string;
  readonly period: Period;
  readonly charts: readonly {
    readonly title: string;
    readonly measure: (point: Point) => number;
    /** Whether it counts, so that its axis begins at 0. */
    readonly isCount: boolean;
  }[];
}

/** Charts of one metric, all from one answer. */
function Series({ flagKey, metric, period, charts }: SeriesProps) {
  const { formats } = useWords();
  const asked = spanOf(period, presentTime());
  const { data, fault, refresh } = useQuery(
    MetricPointsDocument,
    { key: flagKey, metric, ...asked },
    { everyMs: POLL_MS },
  );
  if (fault !== null) return <FaultNotice fault={fault} retry={refresh} />;
  if (data === null) return <Loading />;
  const points = data.flag?.metrics ?? [];
  return (
    <>
      {charts.map(({ title, measure, isCount }) => (
        <Chart
          key={title}
          title={title}
          format={(value) => formats.rounded(value)}
          span={[Date.parse(asked.from), Date.parse(asked.to)]}
          {...(isCount && { range: 'fromZero' })}
          {...linesByVariant(points, period, measure)}
        />
      ))}
    </>
  );
}

/** Shows the metrics of a flag, with a choice of the period and of the metric. */
export function FlagMetrics({ flagKey }: { readonly flagKey: string }) {
  const { words, formats } = useWords();
  const texts = words.metrics;
  const [period, setPeriod] = useState<Period>('week');
  const [chosen, setChosen] = useState<string | null>(null);
  const { data, fault, refresh } = useQuery(MetricNamesDocument, { key: flagKey }, { everyMs: POLL_MS });
  const flag = data?.flag ?? null;
  const names = flag?.metricNames ?? [];
  const metric = names.find((name) => name === chosen) ?? names[0];
  const lastAt = flag?.lastEvaluationAt;
  return (
    <section class="panel" aria-labelledby="metrics-title">
      <h2 id="metrics-title">{texts.title}</h2>
      {fault !== null && <FaultNotice fault={fault} retry={refresh} />}
      {flag !== null && (
        <p class="quiet">
          {texts.totals(formats.number(flag.totalEvaluations), formats.number(flag.activeVehicles))}
          {lastAt !== null && lastAt !== undefined && (
            <>
              {` ${texts.lastAt}: `}
              <Time at={lastAt} />
            </>
          )}
        </p>
      )}
      <div class="filter-row">
        <Select
          label={texts.period}
          value={period}
          options={PERIODS.map((one) => [one, texts.periods[one]])}
          onChoose={(next) => setPeriod(next ?? 'week')}
        />
        {metric !== undefined && (
          <Select
            label={texts.metric}
            value={metric}
            options={names.map((name) => [name, name])}
            onChoose={setChosen}
          />
        )}
      </div>
      <div class="charts">
        <Series
          flagKey={flagKey}
          metric={EVALUATIONS}
          period={period}
          charts={[
            { title: texts.evaluations, measure: ({ sum }) => sum, isCount: true },
            { title: texts.activeVehicles, measure: ({ vehicles }) => vehicles, isCount: true },
          ]}
        />
        {metric !== undefined && (
          <Series
            key={metric}
            flagKey={flagKey}
            metric={metric}
            period={period}
            charts={[{ title: texts.meanOf(metric), measure: ({ mean }) => mean, isCount: false }]}
          />
        )}
      </div>
      {flag !== null && metric === undefined && <p class="quiet">{texts.none}</p>}
    </section>
  );
}
