/** A flag that a form changes: as the form began with it, as it is now, and the outcome of the change. */
import type { ComponentChildren } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import { publish } from '../../api/live.ts';
import { useQuery } from '../../api/use-query.ts';
import type { Fault } from '../../api/fault.ts';
import type { Outcome } from '../../changes/change-outcome.tsx';
import { contentOf, fixedState, type Flag } from '../../changes/flag-content.ts';
import { OneFlagDocument, type ChangedFragment } from '../../generated/operations.ts';
import { isSameJson } from '../../json.ts';
import { flagPath } from '../../navigation/paths.ts';
import { Link } from '../../navigation/router.tsx';
import { FaultNotice, Loading, Page } from '../../parts/parts.tsx';
import { mayNot, sessionState } from '../../session/session.ts';
import { useStore } from '../../store.ts';
import { useWords } from '../../words/language.ts';

interface LoadedProps {
  readonly flagKey: string;
  readonly title: string;
  readonly children: (flag: Flag) => ComponentChildren;
}

/** A page for the change of a flag, once the flag is there; it says why nothing of it can be changed. */
export function FlagChangePage({ flagKey, title, children }: LoadedProps) {
  const { words } = useWords();
  const { session } = useStore(sessionState);
  const { data, fault, refresh } = useQuery(
    OneFlagDocument,
    { key: flagKey },
    { concerns: (news) => news.about === 'flag' && news.key === flagKey },
  );
  const flag = data?.flag ?? null;
  const fixed = flag === null ? null : fixedState(flag);
  const refused = mayNot(session, 'change', words) ?? (fixed === null ? null : words.forms[fixed]);
  // Somebody else may archive the flag while somebody fills in the form, which must not take it away.
  const wasOffered = useRef(false);
  wasOffered.current ||= flag !== null && refused === null;
  return (
    <Page title={title} about={flag?.name ?? flagKey}>
      <p class="flag-sub">
        <Link to={flagPath(flagKey)}>{flag?.name ?? flagKey}</Link> <code>{flagKey}</code>
      </p>
      {fault !== null && <FaultNotice fault={fault} retry={refresh} />}
      {data === null && fault === null && <Loading />}
      {data !== null && flag === null && <p class="empty">{words.noSuchFlag}</p>}
      {flag !== null && refused !== null && (
        <p class="notice" role="status">
          {refused}
        </p>
      )}
      {flag?.release != null && wasOffered.current && <p class="notice">{words.formDuringRelease}</p>}
      {flag !== null && wasOffered.current && children(flag)}
    </Page>
  );
}

/** Gives the outcome of a change. */
export const outcomeOf = (payload: ChangedFragment, revisionBefore: number): Outcome =>
  !payload.applied ? 'waits' : payload.flag.revision === revisionBefore ? 'none' : 'applied';

/** Notifies the other parts of the page of a change that was made here, before the stream brings it. */
export function publishChange({ applied, flag: { key } }: ChangedFragment): void {
  publish({ about: 'flag', key });
  if (!applied) publish({ about: 'request' });
}

/**
 * Gives the flag as a form or a dialog began with it, and how it takes over what has changed since. A flag that was
 * only signed again, for a segment that its rules name, has not changed for a person who fills in a form.
 *
 * @param began the flag as a form that was left began with it
 */
export function useBase(now: Flag, fault: Fault | null, began = now) {
  const [base, setBase] = useState(began);
  const isConflict = fault?.code === 'CONFLICT' && fault.field === null;
  // The stream may be down, so the flag is read again.
  useEffect(() => {
    if (isConflict) publish({ about: 'flag', key: now.key });
  }, [isConflict]);
  const hasChanged = base.revision !== now.revision && !isSameJson(contentOf(base), contentOf(now));
  return { base, revision: hasChanged ? base.revision : now.revision, hasChanged, adopt: () => setBase(now) };
}
