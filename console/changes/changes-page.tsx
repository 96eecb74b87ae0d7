/** Changes that wait for a second person: what, by whom, the difference in words, and the decision. */
import { useRef, useState } from 'preact/hooks';
import { useQuery } from '../api/use-query.ts';
import { RequestsDocument, type ChangeRequestStatus, type RequestFragment } from '../generated/operations.ts';
import { textAt } from '../json.ts';
import { withQuery } from '../navigation/paths.ts';
import { goTo, usePlace } from '../navigation/router.tsx';
import { FaultNotice, Loading, Page } from '../parts/parts.tsx';
import { Select } from '../parts/select.tsx';
import { useWords } from '../words/language.ts';
import { RequestCard, type Decision } from './request-card.tsx';

const STATUSES: readonly ChangeRequestStatus[] = ['PENDING', 'APPROVED', 'REJECTED', 'CANCELLED'];

/** The page of the change requests. */
export function ChangesPage() {
  const { words } = useWords();
  const { query } = usePlace();
  const given = new URLSearchParams(query).get('status');
  const status = STATUSES.find((one) => one === given) ?? 'PENDING';
  const { data, fault, loading, refresh } = useQuery(
    RequestsDocument,
    { status },
    { concerns: ({ about }) => about !== 'everything' },
  );
  const [decided, setDecided] = useState<{ decision: Decision; request: RequestFragment } | null>(null);
  const notice = useRef<HTMLParagraphElement>(null);
  /** The requests with a begun comment or a sent decision. They stay when somebody else decides them first. */
  const [touched, setTouched] = useState<readonly RequestFragment[]>([]);
  const forget = ({ id }: RequestFragment) => setTouched((before) => before.filter((one) => one.id !== id));
  // A request that was just decided waits no longer, whatever the list from before says.
  const listed =
    data?.changeRequests.filter(({ id, status: known }) => known !== 'PENDING' || id !== decided?.request.id) ?? null;
  const isListed = ({ id }: RequestFragment) => listed?.some((one) => one.id === id) === true;
  const kept = status === 'PENDING' ? touched.filter((request) => !isListed(request)) : [];
  const requests =
    listed === null ? null : [...listed, ...kept].sort((one, other) => (one.createdAt > other.createdAt ? -1 : 1));
  return (
    <Page title={words.waitingChanges}>
      <div class="filter-row">
        <Select
          label={words.status}
          value={status}
          options={STATUSES.map((one) => [one, words.requestStatus[one]])}
          onChoose={(next) =>
            goTo(withQuery('/changes', { status: next === 'PENDING' ? null : next }), { replace: true })
          }
        />
      </div>
      <p ref={notice} class={decided === null ? 'hidden' : 'notice'} role="status" tabIndex={-1}>
        {decided !== null &&
          words.decided[decided.decision](
            textAt(words.actions, decided.request.action) ?? decided.request.action,
            decided.request.flag.name,
          )}
      </p>
      {fault !== null && <FaultNotice fault={fault} retry={refresh} />}
      {requests === null && loading && <Loading />}
      {requests !== null && requests.length === 0 && (
        <p class="empty">{status === 'PENDING' ? words.noWaitingChanges : words.noSuchChanges}</p>
      )}
      {requests?.map((request) => (
        <RequestCard
          key={request.id}
          request={request}
          isDecided={kept.includes(request)}
          noteTouch={(isTouched) => {
            forget(request);
            if (isTouched) setTouched((before) => [...before, request]);
          }}
          dismiss={() => {
            forget(request);
            notice.current?.focus();
          }}
          decide={(decision) => {
            setDecided({ decision, request });
            forget(request);
            refresh();
            // The card goes away, and the focus with it.
            notice.current?.focus();
          }}
        />
      ))}
    </Page>
  );
}
