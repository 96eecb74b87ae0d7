/** The metrics beside the primary one: the findings of the secondary ones, and the verdicts of the guardrails. */
import { NumberCell } from '../parts/number-cell.tsx';
import { Badge, type BadgeTone } from '../parts/parts.tsx';
import { TableHead } from '../parts/table-head.tsx';
import { useWords } from '../words/language.ts';
import { armsText, effectText, intervalText, pText, percentText, type ShownResults } from './verdict.ts';

const FINDING_TONES = { BETTER: 'accent', WORSE: 'danger', NONE: 'plain' } as const satisfies Record<string, BadgeTone>;
const VERDICT_TONES = {
  WAITING: 'plain',
  HOLDING: 'accent',
  CROSSED: 'danger',
  SILENT: 'strong',
} as const satisfies Record<string, BadgeTone>;

const NO_VEHICLES = { control: 0, treatment: 0 };

function SecondaryTable({ results: { secondaryMetrics } }: { readonly results: ShownResults }) {
  const spoken = useWords();
  const { words } = spoken;
  const texts = words.experiments;
  return (
    <table class="table" aria-label={texts.secondary}>
      <TableHead
        columns={[
          texts.metric,
          texts.finding,
          { number: texts.effect },
          { number: texts.confidenceInterval },
          { number: texts.pValue },
          { number: texts.detectable },
          { number: texts.vehicles },
        ]}
      />
      <tbody>
        {secondaryMetrics.map(({ metric, finding, effect, adjustedPValue }) => (
          <tr key={metric}>
            <th scope="row">
              <code>{metric}</code>
            </th>
            <td data-label={texts.finding}>
              <Badge tone={FINDING_TONES[finding]}>{texts.findings[finding]}</Badge>
            </td>
            <NumberCell label={texts.effect}>{effectText(effect?.improvementPercent, spoken)}</NumberCell>
            <NumberCell label={texts.confidenceInterval}>{intervalText(effect?.confidenceInterval, spoken)}</NumberCell>
            <NumberCell label={texts.pValue}>{pText(adjustedPValue, spoken)}</NumberCell>
            <NumberCell label={texts.detectable}>{percentText(effect?.detectablePercent, spoken)}</NumberCell>
            <NumberCell label={texts.vehicles}>{armsText(effect?.vehicles ?? NO_VEHICLES, spoken)}</NumberCell>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

function GuardrailTable({ results: { guardrails } }: { readonly results: ShownResults }) {
  const spoken = useWords();
  const { words, formats } = spoken;
  const texts = words.experiments;
  return (
    <table class="table" aria-label={texts.guardrails}>
      <TableHead
        columns={[
          texts.metric,
          texts.verdict,
          texts.limit,
          { number: texts.worseBy },
          { number: texts.detectable },
          { number: texts.vehicles },
        ]}
      />
      <tbody>
        {guardrails.map((one) => (
          <tr key={one.metric}>
            <th scope="row">
              <code>{one.metric}</code>
            </th>
            <td data-label={texts.verdict}>
              <Badge tone={VERDICT_TONES[one.verdict]}>{texts.guardrailVerdicts[one.verdict]}</Badge>
            </td>
            <td data-label={texts.limit}>
              {words.rollouts.limitPercentText(one.worse, formats.percent(one.maxWorsePercent))}
            </td>
            <NumberCell label={texts.worseBy}>{percentText(one.worsePercent, spoken)}</NumberCell>
            <NumberCell label={texts.detectable}>{percentText(one.detectablePercent, spoken)}</NumberCell>
            <NumberCell label={texts.vehicles}>{armsText(one.vehicles, spoken)}</NumberCell>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

/** Shows the tables of the secondary metrics and of the guardrails; a table without metrics is left out. */
export function FurtherPanel({ results }: { readonly results: ShownResults }) {
  const { words } = useWords();
  const texts = words.experiments;
  return (
    <>
      {results.secondaryMetrics.length > 0 && (
        <section class="panel" aria-labelledby="secondary-title">
          <h2 id="secondary-title">{texts.secondary}</h2>
          <SecondaryTable results={results} />
        </section>
      )}
      {results.guardrails.length > 0 && (
        <section class="panel" aria-labelledby="guardrails-title">
          <h2 id="guardrails-title">{texts.guardrails}</h2>
          <GuardrailTable results={results} />
        </section>
      )}
    </>
  );
}
