/** The news of the audit log: pages about what has no news of its own ask again when an entry concerns them. */
import { useEffect, useRef } from 'preact/hooks';
import { AuditNewsDocument } from '../generated/operations.ts';
import { sessionState } from '../session/session.ts';
import { useStore } from '../store.ts';
import { follow } from './client.ts';

/** Calls `listener` with the action of each new entry, for as long as the component is shown. */
export function useAuditNews(listener: (action: string) => void): void {
  const { session, ended } = useStore(sessionState);
  const latest = useRef(listener);
  latest.current = listener;
  useEffect(
    () => (ended ? undefined : follow(AuditNewsDocument, {}, ({ auditTrail }) => latest.current(auditTrail.action))),
    [session?.token, ended],
  );
}
