/** A rollout as lines over time: the share with its steps, and what its guard has seen beside the limit. */
import { presentTime } from '../api/clock.ts';
import { useQuery } from '../api/use-query.ts';
import { Chart, type Line } from '../parts/charts/chart.tsx';
import { GuardHistoryDocument, type RolloutPartsFragment } from '../generated/operations.ts';
import { FaultNotice, Loading } from '../parts/parts.tsx';
import { useWords } from '../words/language.ts';
import { guardOverTime, isFinal, shareOverTime } from './rollout-lines.ts';

/** The milliseconds between two polls of the guard's history, which gets one entry a minute. */
const POLL_MS = 15_000;
/** Milliseconds to which the present is rounded, so that the chart is not drawn again all the time. */
const NOW_MS = 10_000;

/** Shows the share of vehicles over time: what was applied, and what is planned. */
export function ShareChart({ rollout }: { readonly rollout: RolloutPartsFragment }) {
  const { words, formats } = useWords();
  const now = Math.floor(presentTime() / NOW_MS) * NOW_MS;
  const { times, values } = shareOverTime(rollout, now);
  const lines: Line[] = [
    { name: words.rollouts.applied, values: values.applied, kind: 'step' },
    ...(values.planned.some((value) => value !== null)
      ? [{ name: words.rollouts.planned, values: values.planned, kind: 'step' } as const]
      : []),
  ];
  return (
    <Chart
      title={words.rollouts.shareOverTime}
      times={times}
      lines={lines}
      format={(value) => formats.percent(value)}
      range={[0, 100]}
    />
  );
}

interface GuardChartProps {
  readonly flagKey: string;
  readonly ruleId: string;
  readonly rollout: RolloutPartsFragment;
  readonly guard: NonNullable<RolloutPartsFragment['guard']>;
}

/** Shows what the guard of a rule's rollout has found over time, beside its limit. */
export function GuardChart({ flagKey, ruleId, rollout, guard }: GuardChartProps) {
  const { words, formats } = useWords();
  const { data, fault, refresh } = useQuery(
    GuardHistoryDocument,
    { key: flagKey },
    {
      concerns: (news) => news.about === 'flag' && news.key === flagKey,
      everyMs: isFinal(rollout) ? undefined : POLL_MS,
    },
  );
  if (fault !== null) return <FaultNotice fault={fault} retry={refresh} />;
  if (data === null) return <Loading />;
  const looks = data.flag?.rules.find(({ id }) => id === ruleId)?.rollout?.guardHistory ?? [];
  const { times, values } = guardOverTime(looks, rollout);
  if (times.length === 0) return <p class="quiet">{words.rollouts.noLooks}</p>;
  const hasBound = guard.bound !== null && guard.bound !== undefined;
  const lines: Line[] = [
    { name: hasBound ? words.rollouts.meanWithFeature : words.rollouts.worseBy, values: values.seen },
    ...(hasBound ? [] : [{ name: words.rollouts.worseAtLeast, values: values.atLeast }]),
    { name: words.rollouts.limit, values: values.limit, kind: 'limit' },
  ];
  return (
    <Chart
      title={words.rollouts.guardOverTime(guard.metric)}
      times={times}
      lines={lines}
      format={(value) => (hasBound ? formats.rounded(value) : formats.roundedPercent(value))}
    />
  );
}
