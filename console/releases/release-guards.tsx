/** The guards of a release: each metric with its limit, what the guard has found, and what it does. */
import type { ReleasePartsFragment } from '../generated/operations.ts';
import { limitText, VerdictBadge } from '../rollouts/guard-panel.tsx';
import { useReleaseWords } from '../words/use-release-words.ts';

/** Shows the guards that a release has of its policy and added ones, one in each line. */
export function ReleaseGuards({ guards }: Pick<ReleasePartsFragment, 'guards'>) {
  const spoken = useReleaseWords();
  const { words, texts, formats } = spoken;
  const mean = (value: number | null | undefined) => (value == null ? '–' : formats.rounded(value));
  return (
    <>
      <h3>{texts.guards}</h3>
      <ul>
        {guards.map(({ guard, reason, status }, place) => (
          // Guards keep their places, and two may differ in nothing but their numbers.
          <li key={place}>
            <code>{guard.metric}</code> {limitText(guard, spoken)} · {texts.guardActions[guard.action]} ·{' '}
            {status == null ? (
              words.rollouts.noVerdictAtAll
            ) : (
              <>
                <VerdictBadge verdict={status.verdict} />{' '}
                {texts.guardMeans(
                  mean(status.treatmentMean),
                  formats.number(status.treatmentVehicles),
                  mean(status.controlMean),
                  formats.number(status.controlVehicles),
                )}
              </>
            )}
            {reason != null && <p class="quiet">{texts.guardReason(reason)}</p>}
          </li>
        ))}
      </ul>
    </>
  );
}
