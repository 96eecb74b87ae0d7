/** A release policy in words: its stages as a table, who goes first, the levels and the limits. */
import { Fact, Facts } from '../../parts/facts.tsx';
import { TableHead } from '../../parts/table-head.tsx';
import { useAdministrationWords } from '../../words/use-administration-words.ts';
import { limitText } from '../../rollouts/guard-panel.tsx';
import { durationSeconds } from './duration-seconds.ts';
import type { PolicyContent } from './policy-draft.ts';

/** Gives the words of a policy's parts. */
export function usePolicyWords() {
  const { words, own, formats } = useAdministrationWords();
  const guardsOf = ({ guards }: PolicyContent) =>
    guards.map(
      (guard) =>
        `${guard.metric} ${limitText(guard, { words, formats })} · ${own.guardActions[guard.action]} · ${own.guardDetails(
          formats.percent(guard.confidenceLevel * 100),
          formats.number(guard.minimumVehicles),
          formats.duration(durationSeconds(guard.silence)),
        )}`,
    );
  const shareOf = (percentage: number) => (percentage === 0 ? own.canaryAlone : formats.percent(percentage));
  const soakOf = (soak: string) => formats.duration(durationSeconds(soak));
  const reportsOf = (count: number) =>
    count === 0 ? own.noReports : own.vehiclesCounted(count, formats.number(count));
  const canaryOf = ({ canary }: PolicyContent) =>
    canary == null ? own.noCanary : [...canary.models, ...canary.regions, ...canary.vins].join(', ');
  const levelsOf = ({ safetyLevels }: PolicyContent) => safetyLevels.map((level) => words.levels[level]).join(', ');
  /** Gives a policy as members of text, for differences. */
  const partsOf = (policy: PolicyContent) => ({
    stages:
      policy.stages.length === 0
        ? own.noPolicy
        : policy.stages
            .map(({ percentage, soak, minimumVehicles }) =>
              [shareOf(percentage), soakOf(soak), reportsOf(minimumVehicles)].join(' · '),
            )
            .join(' → '),
    canary: canaryOf(policy),
    safetyLevels: levelsOf(policy),
    maximumFaultyVehicles: formats.number(policy.maximumFaultyVehicles),
    maximumFaultyPercent: formats.percent(policy.maximumFaultyPercent),
    guards: policy.guards.length === 0 ? own.noGuards : guardsOf(policy).join('; '),
  });
  return { shareOf, soakOf, reportsOf, canaryOf, levelsOf, guardsOf, partsOf };
}

interface PolicyViewProps {
  readonly policy: PolicyContent;
  /** The table's name for screen readers. */
  readonly label: string;
}

/** Shows a policy; one without stages as a sentence. */
export function PolicyView({ policy, label }: PolicyViewProps) {
  const { words, own, formats } = useAdministrationWords();
  const { shareOf, soakOf, reportsOf, canaryOf, levelsOf, guardsOf } = usePolicyWords();
  if (policy.stages.length === 0) return <p>{own.noPolicy}</p>;
  return (
    <>
      <table class="table" aria-label={label}>
        <TableHead columns={[own.policyStage, own.stageShare, own.stageSoak, own.stageReports]} />
        <tbody>
          {policy.stages.map(({ percentage, soak, minimumVehicles }, index) => (
            <tr key={percentage}>
              <th scope="row">{formats.number(index + 1)}</th>
              <td data-label={own.stageShare}>{shareOf(percentage)}</td>
              <td data-label={own.stageSoak}>{soakOf(soak)}</td>
              <td data-label={own.stageReports}>{reportsOf(minimumVehicles)}</td>
            </tr>
          ))}
        </tbody>
      </table>
      <Facts>
        <Fact name={words.fields.canary}>{canaryOf(policy)}</Fact>
        <Fact name={words.fields.safetyLevels}>{levelsOf(policy)}</Fact>
      </Facts>
      <p>
        {own.policyLimits(formats.number(policy.maximumFaultyVehicles), formats.number(policy.maximumFaultyPercent))}
      </p>
      {policy.guards.length > 0 && (
        <>
          <p>{own.guardsLead}</p>
          <ul>
            {guardsOf(policy).map((guard) => (
              <li key={guard}>{guard}</li>
            ))}
          </ul>
        </>
      )}
    </>
  );
}
