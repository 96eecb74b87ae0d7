/** Badges that show a flag's state at one glance. */
import type { FlagRowFragment } from '../generated/operations.ts';
import { Badge } from '../parts/parts.tsx';
import { useWords } from '../words/language.ts';

type State = Pick<FlagRowFragment, 'enabled' | 'killed' | 'draft' | 'archivedAt'>;

/** One badge: the strongest of the states that hold. */
export function StateBadge({ flag: { enabled, killed, draft, archivedAt } }: { readonly flag: State }) {
  const { words } = useWords();
  if (archivedAt !== null && archivedAt !== undefined) return <Badge tone="faint">{words.states.archived}</Badge>;
  if (draft) return <Badge tone="faint">{words.states.draft}</Badge>;
  if (killed) return <Badge tone="danger">{words.states.killed}</Badge>;
  return enabled ? <Badge tone="accent">{words.states.enabled}</Badge> : <Badge>{words.states.disabled}</Badge>;
}

/** The badge that names a safety level. */
export function LevelBadge({ level }: { readonly level: FlagRowFragment['safetyLevel'] }) {
  const { words } = useWords();
  return <Badge tone={level === 'ASIL_D' ? 'strong' : 'plain'}>{words.levels[level]}</Badge>;
}

/** Whether a release is under way, and how far it is; nothing where there is none. */
export function ReleaseNote({ flag: { release } }: { readonly flag: Pick<FlagRowFragment, 'release'> }) {
  const { words, formats } = useWords();
  if (release == null) return null;
  const text = release.status === 'HOLDING' ? words.releaseHolds : words.releaseRuns;
  return (
    <span class="quiet">
      {text} · {formats.percent(release.percentage)}
    </span>
  );
}

type WithRollouts = Pick<FlagRowFragment, 'rules'>;

/** Whether a rollout runs or waits, and how far it is; nothing where there is none. */
export function RolloutNote({ flag: { rules } }: { readonly flag: WithRollouts }) {
  const { words, formats } = useWords();
  const rollout = rules
    .map((rule) => rule.rollout)
    .find((one) => one !== null && one !== undefined && !['COMPLETED', 'CANCELLED'].includes(one.status));
  if (rollout === undefined || rollout === null) return null;
  return (
    <span class="quiet">
      {words.rolloutStatus[rollout.status]} · {formats.percent(rollout.currentPercentage)}
    </span>
  );
}
