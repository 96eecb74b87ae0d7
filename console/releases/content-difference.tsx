/** The difference between the stable content of a release and its new one. */
import { DifferenceTable } from '../changes/difference-table.tsx';
import type { ReleasePartsFragment } from '../generated/operations.ts';
import { membersOf } from '../json.ts';
import { useReleaseWords } from '../words/use-release-words.ts';

type Contents = Pick<ReleasePartsFragment, 'content' | 'stableContent'>;

/** Shows nothing for a release that ended before the stable content was kept. */
export function ContentDifference({ content, stableContent }: Contents) {
  const { texts } = useReleaseWords();
  if (stableContent == null) return null;
  const stable = membersOf(stableContent);
  // Only a stable content that is disabled says whether the flag is on.
  const isSwitchedOn = stable['enabled'] === false;
  return (
    <>
      <p class="quiet">{texts.differenceLead}</p>
      <DifferenceTable
        before={stable}
        after={{ ...(isSwitchedOn && { enabled: true }), ...membersOf(content) }}
        label={texts.difference}
      />
    </>
  );
}
