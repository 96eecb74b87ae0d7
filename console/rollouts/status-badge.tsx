/** A badge that shows where a rollout stands. */
import type { RolloutPartsFragment } from '../generated/operations.ts';
import { Badge, type BadgeTone } from '../parts/parts.tsx';
import { useWords } from '../words/language.ts';

type Status = RolloutPartsFragment['status'];

const TONES: Readonly<Record<Status, BadgeTone>> = {
  WAITING_FOR_APPROVAL: 'strong',
  RUNNING: 'accent',
  PAUSED: 'strong',
  COMPLETED: 'faint',
  CANCELLED: 'faint',
  PULLED_BACK: 'danger',
};

/** Shows the status of a rollout in words and in a colour. */
export function StatusBadge({ status }: { readonly status: Status }) {
  const { words } = useWords();
  return <Badge tone={TONES[status]}>{words.rolloutStatus[status]}</Badge>;
}
