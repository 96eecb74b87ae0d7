/** Parts of an experiment to explore: the effect over time, segments, and the vehicles behind it as a file. */
import { useState } from 'preact/hooks';
import type { Fault } from '../api/fault.ts';
import { useQuery } from '../api/use-query.ts';
import { Chart } from '../parts/charts/chart.tsx';
import { EffectOverTimeDocument, SegmentsDocument, type SegmentDimension } from '../generated/operations.ts';
import { NumberCell } from '../parts/number-cell.tsx';
import { FaultNotice, Loading } from '../parts/parts.tsx';
import { Select } from '../parts/select.tsx';
import { TableHead } from '../parts/table-head.tsx';
import { useWords } from '../words/language.ts';
import { csvOf } from './csv.ts';
import { readVehicles, save } from './vehicle-rows.ts';
import { armsText, intervalText, percentText, effectText } from './verdict.ts';

const DIMENSIONS: readonly SegmentDimension[] = ['MODEL', 'REGION', 'SW_VERSION'];
/** The milliseconds between two polls of a running experiment, which FleetFlag analyses once a minute. */
const POLL_MS = 60_000;

interface OfExperiment {
  readonly id: string;
  readonly isRunning: boolean;
}

/** Shows the effect of an experiment over time as a chart. It is read again while the experiment runs. */
export function EffectPanel({ id, isRunning }: OfExperiment) {
  const { words, formats } = useWords();
  const texts = words.experiments;
  const { data, fault, refresh } = useQuery(
    EffectOverTimeDocument,
    { id },
    { everyMs: isRunning ? POLL_MS : undefined },
  );
  const points = data?.experiment?.effectOverTime ?? [];
  return (
    <section class="panel" aria-labelledby="effect-title">
      <h2 id="effect-title">{texts.overTime}</h2>
      {fault !== null && <FaultNotice fault={fault} retry={refresh} />}
      {data === null && fault === null && <Loading />}
      {data !== null && points.length === 0 && <p class="quiet">{texts.noEffectYet}</p>}
      {points.length > 0 && (
        <Chart
          title={texts.overTime}
          times={points.map(({ at }) => Date.parse(at))}
          lines={[
            { name: texts.effectLine, values: points.map(({ improvementPercent }) => improvementPercent) },
            { name: texts.high, values: points.map(({ confidenceInterval }) => confidenceInterval?.[1] ?? null) },
            { name: texts.low, values: points.map(({ confidenceInterval }) => confidenceInterval?.[0] ?? null) },
            { name: texts.detectable, values: points.map(({ detectablePercent }) => detectablePercent) },
          ]}
          band={[1, 2]}
          format={(value) => formats.roundedPercent(value)}
        />
      )}
    </section>
  );
}

/** Shows the effect in each model, region or other segment. It is read again while the experiment runs. */
export function SegmentsPanel({ id, isRunning }: OfExperiment) {
  const spoken = useWords();
  const { words } = spoken;
  const texts = words.experiments;
  const [by, setBy] = useState<SegmentDimension>('MODEL');
  const { data, fault, refresh } = useQuery(SegmentsDocument, { id, by }, { everyMs: isRunning ? POLL_MS : undefined });
  const segments = data?.experiment?.segments ?? [];
  return (
    <section class="panel" aria-labelledby="segments-title">
      <h2 id="segments-title">{texts.segments}</h2>
      <p class="quiet">{texts.segmentsLead}</p>
      <div class="filter-row">
        <Select
          label={texts.by}
          value={by}
          options={DIMENSIONS.map((one) => [one, texts.dimensions[one]])}
          onChoose={(next) => setBy(next ?? 'MODEL')}
        />
      </div>
      {fault !== null && <FaultNotice fault={fault} retry={refresh} />}
      {data === null && fault === null && <Loading />}
      {data !== null && segments.length === 0 && <p class="quiet">{texts.noSegments}</p>}
      {segments.length > 0 && (
        <table class="table" aria-label={texts.segments}>
          <TableHead
            columns={[
              texts.segment,
              { number: texts.effect },
              { number: texts.confidenceInterval },
              { number: texts.detectable },
              { number: texts.vehicles },
            ]}
          />
          <tbody>
            {segments.map(({ value, improvementPercent, confidenceInterval, detectablePercent, vehicles }) => (
              <tr key={value ?? ''}>
                <th scope="row">{value ?? texts.unregistered}</th>
                <NumberCell label={texts.effect}>{effectText(improvementPercent, spoken)}</NumberCell>
                <NumberCell label={texts.confidenceInterval}>{intervalText(confidenceInterval, spoken)}</NumberCell>
                <NumberCell label={texts.detectable}>{percentText(detectablePercent, spoken)}</NumberCell>
                <NumberCell label={texts.vehicles}>{armsText(vehicles, spoken)}</NumberCell>
              </tr>
            ))}
          </tbody>
        </table>
      )}
      <Export id={id} />
    </section>
  );
}

/** Reads the vehicles page by page, and hands them over as a file. */
function Export({ id }: { readonly id: string }) {
  const { words, formats } = useWords();
  const texts = words.experiments;
  const [rows, setRows] = useState<number | null>(null);
  const [busy, setBusy] = useState(false);
  const [fault, setFault] = useState<Fault | null>(null);
  const run = () => {
    setBusy(true);
    setFault(null);
    setRows(0);
    readVehicles(id, setRows)
      .then((read) => {
        setFault(read.fault);
        if (read.fault === null && read.vehicles.length > 0) save(`experiment-${id}.csv`, csvOf(read.vehicles));
      })
      .finally(() => setBusy(false))
      .catch(reportError);
  };
  const count = formats.number(rows ?? 0);
  return (
    <div class="buttons">
      <button type="button" class="button" disabled={busy} onClick={run}>
        {texts.export}
      </button>
      <p class="quiet" role="status">
        {busy && texts.exporting(count)}
        {!busy && fault === null && rows !== null && (rows === 0 ? texts.exportNothing : texts.exported(count))}
      </p>
      {fault !== null && <FaultNotice fault={fault} retry={run} />}
    </div>
  );
}
