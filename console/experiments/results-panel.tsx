/** An experiment's result: the verdict in words, the arms with their numbers, and what was found of other metrics. */
import type { ExperimentPlanFragment, GuardDirection } from '../generated/operations.ts';
import { textAt } from '../json.ts';
import { NumberCell } from '../parts/number-cell.tsx';
import { Time } from '../parts/parts.tsx';
import { TableHead } from '../parts/table-head.tsx';
import { useWords } from '../words/language.ts';
import { intervalText, pText, percentText, effectText, verdictSentences, type ShownResults } from './verdict.ts';

interface ResultsProps {
  readonly experiment: ExperimentPlanFragment;
  readonly results: ShownResults;
  /** Declared of the primary metric; null: neither direction is. */
  readonly better: GuardDirection | null;
}

function Arms({ results }: { readonly results: ShownResults }) {
  const { words, formats } = useWords();
  const texts = words.experiments;
  const count = (value: number | null) => (value === null ? '–' : formats.number(value));
  return (
    <table class="table" aria-label={texts.arms}>
      <TableHead
        columns={[
          texts.arm,
          { number: texts.mean },
          { number: texts.deviationOf },
          { number: texts.counted },
          { number: texts.exposed },
          { number: texts.outOfRange },
          { number: texts.neverReported },
        ]}
      />
      <tbody>
        {results.variants.map((arm) => (
          <tr key={arm.variant}>
            <th scope="row">
              {textAt(texts.armNames, arm.variant) ?? arm.variant} <code>{arm.variant}</code>
            </th>
            <NumberCell label={texts.mean}>{arm.vehicles === 0 ? '–' : formats.rounded(arm.mean)}</NumberCell>
            <NumberCell label={texts.deviationOf}>
              {arm.vehicles < 2 ? '–' : formats.rounded(arm.standardDeviation)}
            </NumberCell>
            <NumberCell label={texts.counted}>{formats.number(arm.vehicles)}</NumberCell>
            <NumberCell label={texts.exposed}>{count(arm.exposed)}</NumberCell>
            <NumberCell label={texts.outOfRange}>{count(arm.outOfRange)}</NumberCell>
            <NumberCell label={texts.neverReported}>{count(arm.neverReported)}</NumberCell>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

function Numbers({ results }: { readonly results: ShownResults }) {
  const spoken = useWords();
  const { words } = spoken;
  const texts = words.experiments;
  const { sampleRatioMismatch: ratio, improvementPercent, pValue } = results;
  const p = pText(ratio.pValue, spoken);
  return (
    <dl class="facts">
      <div>
        <dt>{texts.effect}</dt>
        <dd>{effectText(improvementPercent, spoken)}</dd>
      </div>
      <div>
        <dt>{texts.confidenceInterval}</dt>
        <dd>{intervalText(results.confidenceInterval, spoken)}</dd>
      </div>
      <div>
        <dt>{texts.pValue}</dt>
        <dd>{pText(pValue, spoken)}</dd>
      </div>
      <div>
        <dt>{texts.detectable}</dt>
        <dd>{percentText(results.detectablePercent, spoken)}</dd>
      </div>
      <div>
        <dt>{texts.computedAt}</dt>
        <dd>
          <Time at={results.computedAt} />
        </dd>
      </div>
      {results.countedUntil !== null && (
        <div>
          <dt>{texts.countedUntil}</dt>
          <dd>
            <Time at={results.countedUntil} />
          </dd>
        </div>
      )}
      <div>
        <dt>{texts.ratio}</dt>
        <dd>{ratio.detected ? texts.ratioDetected(p) : texts.ratioFits(p)}</dd>
      </div>
    </dl>
  );
}

function Missing({ results: { missing } }: { readonly results: ShownResults }) {
  const { words } = useWords();
  const texts = words.experiments;
  // Both tests have numbers of their own, which the page does not show.
  const shown = missing.filter(({ number }) => textAt(texts.missingNumbers, number) !== undefined);
  if (shown.length === 0) return null;
  return (
    <>
      <h3>{texts.missing}</h3>
      <ul class="plain-list">
        {shown.map(({ number, reason }) => (
          <li key={number}>
            {textAt(texts.missingNumbers, number)}: {texts.missingReasons[reason]}
          </li>
        ))}
      </ul>
    </>
  );
}

function Disturbances({ results: { disturbances } }: { readonly results: ShownResults }) {
  const { words } = useWords();
  if (disturbances.length === 0) return null;
  return (
    <div class="notice notice-fault">
      <div>
        <h3>{words.experiments.disturbances}</h3>
        <ul class="plain-list">
          {disturbances.map(({ at, action, by, flag }) => (
            <li key={`${at} ${action}`}>
              <Time at={at} /> · {textAt(words.actions, action) ?? action} · {by?.name ?? words.theSystem}
              {flag !== null && flag !== undefined && (
                <>
                  {' · '}
                  <code>{flag.key}</code>
                </>
              )}
            </li>
          ))}
        </ul>
      </div>
    </div>
  );
}

/** Shows the result of an experiment; while it runs, what is known by now. */
export function ResultsPanel({ experiment, results, better }: ResultsProps) {
  const spoken = useWords();
  const { words, formats } = spoken;
  const texts = words.experiments;
  const ended = experiment.status === 'COMPLETED';
  const { winnerVariant } = experiment;
  return (
    <section class="panel" aria-labelledby="results-title">
      <h2 id="results-title">{ended ? texts.results : texts.resultsNow}</h2>
      <div class={results.sampleRatioMismatch.detected ? 'notice notice-fault' : 'notice'} role="status">
        <p>
          {verdictSentences(results, better, ended, spoken).join(' ')}
          {ended &&
            ` ${winnerVariant === null ? texts.verdicts.noWinner : texts.verdicts.winner(textAt(texts.armNames, winnerVariant) ?? winnerVariant)}`}
        </p>
      </div>
      <Disturbances results={results} />
      <Numbers results={results} />
      <Arms results={results} />
      {results.vehiclesInBothArms > 0 && (
        <p class="quiet">{texts.inBothArms(results.vehiclesInBothArms, formats.number(results.vehiclesInBothArms))}</p>
      )}
      <Missing results={results} />
    </section>
  );
}
