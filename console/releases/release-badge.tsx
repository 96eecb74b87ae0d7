/** A badge that shows where a release stands. */
import type { ReleasePartsFragment } from '../generated/operations.ts';
import { Badge, type BadgeTone } from '../parts/parts.tsx';
import { useReleaseWords } from '../words/use-release-words.ts';

type Status = ReleasePartsFragment['status'];

const TONES: Readonly<Record<Status, BadgeTone>> = {
  RUNNING: 'accent',
  HOLDING: 'strong',
  COMPLETED: 'faint',
  HALTED: 'danger',
  SUPERSEDED: 'faint',
};

/** Shows the status of a release in words and in a colour. */
export function ReleaseBadge({ status }: { readonly status: Status }) {
  const { texts } = useReleaseWords();
  return <Badge tone={TONES[status]}>{texts.statuses[status]}</Badge>;
}
