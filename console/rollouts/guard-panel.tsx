/** A rollout's guard: its metric and limit, its verdict in words, and the numbers behind it. */
import type { ComponentChildren } from 'preact';
import type { RolloutPartsFragment } from '../generated/operations.ts';
import { Badge, Time, type BadgeTone } from '../parts/parts.tsx';
import { useWords } from '../words/language.ts';
import type { Spoken } from '../words/spoken.ts';
import { GuardChart } from './rollout-chart.tsx';
import { isFinal } from './rollout-lines.ts';

type Guard = NonNullable<RolloutPartsFragment['guard']>;
type Status = NonNullable<RolloutPartsFragment['guardStatus']>;

const TONES: Readonly<Record<Status['verdict'], BadgeTone>> = {
  WAITING: 'plain',
  HOLDING: 'accent',
  CROSSED: 'danger',
  SILENT: 'strong',
};

/** Shows the verdict of a guard in words and in a colour. */
export function VerdictBadge({ verdict }: { readonly verdict: Status['verdict'] }) {
  const { words } = useWords();
  return <Badge tone={TONES[verdict]}>{words.rollouts.verdicts[verdict]}</Badge>;
}

/** Gives the limit of a guard as a phrase. */
export function limitText(
  { worse, maxWorsePercent, bound }: Pick<Guard, 'worse' | 'maxWorsePercent' | 'bound'>,
  { words, formats }: Spoken,
): string {
  if (bound !== null && bound !== undefined) return words.rollouts.limitBoundText(worse, formats.rounded(bound));
  return words.rollouts.limitPercentText(worse, formats.percent(maxWorsePercent ?? 0));
}

function Numbers({ guard, status }: { readonly guard: Guard; readonly status: Status }) {
  const { words, formats } = useWords();
  const mean = (value: number | null | undefined, vehicles: number) =>
    words.rollouts.meanOf(
      value === null || value === undefined ? '–' : formats.rounded(value),
      formats.number(vehicles),
      vehicles,
    );
  const percent = (value: number | null | undefined) =>
    value === null || value === undefined ? '–' : formats.roundedPercent(value);
  const comparison: (readonly [string, ComponentChildren])[] = [
    [words.rollouts.without, mean(status.controlMean, status.controlVehicles)],
    [words.rollouts.worseBy, percent(status.worsePercent)],
    [words.rollouts.worseAtLeast, percent(status.worsePercentAtLeast)],
    [words.rollouts.detectable, percent(status.detectablePercent)],
  ];
  const facts: (readonly [string, ComponentChildren])[] = [
    [words.rollouts.withFeature, mean(status.treatmentMean, status.treatmentVehicles)],
    ...(guard.bound === null || guard.bound === undefined ? comparison : []),
    [
      words.rollouts.lastMeasurement,
      status.lastMeasurementAt === null || status.lastMeasurementAt === undefined ? (
        words.never
      ) : (
        <Time at={status.lastMeasurementAt} />
      ),
    ],
    [words.rollouts.lookedAt, <Time at={status.computedAt} />],
  ];
  return (
    <dl class="facts">
      {facts.map(([name, value]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>{value}</dd>
        </div>
      ))}
    </dl>
  );
}

interface GuardPanelProps {
  readonly flagKey: string;
  readonly ruleId: string;
  readonly rollout: RolloutPartsFragment;
}

/** Shows the guard of a rule's rollout, or says that it has none. */
export function GuardPanel({ flagKey, ruleId, rollout }: GuardPanelProps) {
  const spoken = useWords();
  const { words } = spoken;
  const { guard, guardStatus } = rollout;
  return (
    <section class="panel" aria-labelledby="guard-title">
      <h2 id="guard-title">{words.rollouts.guard}</h2>
      {guard === null || guard === undefined ? (
        <p class="quiet">{words.rollouts.noGuard}</p>
      ) : (
        <>
          <p>
            <code>{guard.metric}</code> {limitText(guard, spoken)}
          </p>
          {guardStatus === null || guardStatus === undefined ? (
            <p class="quiet">{isFinal(rollout) ? words.rollouts.noVerdictAtAll : words.rollouts.noVerdict}</p>
          ) : (
            <>
              <p>
                <VerdictBadge verdict={guardStatus.verdict} /> {words.rollouts.verdictLead[guardStatus.verdict]}
              </p>
              <Numbers guard={guard} status={guardStatus} />
            </>
          )}
          <GuardChart flagKey={flagKey} ruleId={ruleId} rollout={rollout} guard={guard} />
        </>
      )}
    </section>
  );
}
