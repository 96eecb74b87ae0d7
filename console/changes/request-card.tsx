/** One change request with its difference, and the form by which it is decided. */
import { useRef, useState } from 'preact/hooks';
import { publish } from '../api/live.ts';
import { useChange, useQuery } from '../api/use-query.ts';
import { LevelBadge } from '../flags/flag-badges.tsx';
import {
  ApproveRequestDocument,
  CancelRequestDocument,
  DecidedRequestDocument,
  RejectRequestDocument,
  type RequestFragment,
} from '../generated/operations.ts';
import { textAt } from '../json.ts';
import { flagPath } from '../navigation/paths.ts';
import { Link } from '../navigation/router.tsx';
import { LongTextField } from '../parts/long-text-field.tsx';
import { Badge, FaultNotice, Time } from '../parts/parts.tsx';
import { may, sessionState } from '../session/session.ts';
import { useStore } from '../store.ts';
import { useWords } from '../words/language.ts';
import { DifferenceTable } from './difference-table.tsx';
import { RequestAudience } from './request-audience.tsx';
import { SetChanges } from './set-changes.tsx';

export type Decision = 'approved' | 'rejected' | 'cancelled';

interface RequestProps {
  readonly request: RequestFragment;
  /** Called when the user of this page has decided about the request. */
  readonly decide: (decision: Decision) => void;
  /** Whether somebody else has decided, so that the request waits no longer. */
  readonly isDecided: boolean;
  /** Called as a comment is begun or a decision is sent, and as the comment is emptied again. */
  readonly noteTouch: (isTouched: boolean) => void;
  /** Takes away a request that somebody else has decided. */
  readonly dismiss: () => void;
}

function DecisionForm({ request, decide, isDecided, noteTouch, dismiss }: RequestProps) {
  const { words } = useWords();
  const { session } = useStore(sessionState);
  const [comment, setComment] = useState('');
  const [needsComment, setNeedsComment] = useState(false);
  const area = useRef<HTMLTextAreaElement>(null);
  const done = (decision: Decision) => () => {
    publish({ about: 'request' });
    publish({ about: 'flag', key: request.flag.key });
    decide(decision);
  };
  const [approve, approving] = useChange(ApproveRequestDocument, done('approved'));
  const [reject, rejecting] = useChange(RejectRequestDocument, done('rejected'));
  const [cancel, cancelling] = useChange(CancelRequestDocument, done('cancelled'));
  const fault = approving.fault ?? rejecting.fault ?? cancelling.fault;
  const sending = approving.sending || rejecting.sending || cancelling.sending;
  // While a decision is under way, the news of it may come before its answer.
  const isGone = isDecided && !sending;
  const isOwn = session?.userId === request.requestedBy.id;
  const mayReview = may(session, 'review');
  const { id } = request;
  return (
    <div class="decision">
      {isOwn && <p>{words.ownRequest}</p>}
      {!isOwn && !mayReview && <p>{words.mayNotReview}</p>}
      {!isOwn && mayReview && (
        <LongTextField
          label={words.comment}
          hint={words.commentHint}
          wrong={needsComment ? words.commentMissing : null}
          area={area}
          rows={2}
          value={comment}
          onType={(text) => {
            setComment(text);
            setNeedsComment(false);
            noteTouch(text.trim() !== '');
          }}
        />
      )}
      {isGone && (
        <div class="notice" role="alert">
          <p>{words.decidedMeanwhile}</p>
          <button type="button" class="button" onClick={dismiss}>
            {words.dismiss}
          </button>
        </div>
      )}
      {fault !== null && !isGone && <FaultNotice fault={fault} />}
      <div class={isGone ? 'hidden' : 'buttons'}>
        {!isOwn && mayReview && (
          <>
            <button
              type="button"
              class="button button-main"
              disabled={sending || request.outdated}
              onClick={() => {
                noteTouch(true);
                approve({ id, ...(comment.trim() !== '' && { comment: comment.trim() }) });
              }}
            >
              {words.approve}
            </button>
            <button
              type="button"
              class="button"
              disabled={sending}
              onClick={() => {
                if (comment.trim() === '') {
                  setNeedsComment(true);
                  area.current?.focus();
                } else {
                  noteTouch(true);
                  reject({ id, comment: comment.trim() });
                }
              }}
            >
              {words.reject}
            </button>
          </>
        )}
        {(isOwn || session?.role === 'ADMIN') && (
          <button
            type="button"
            class="button"
            disabled={sending}
            onClick={() => {
              noteTouch(true);
              cancel({ id });
            }}
          >
            {words.cancelRequest}
          </button>
        )}
      </div>
    </div>
  );
}

/** Shows a request, and the form to approve, reject or cancel it while it waits. */
export function RequestCard(props: RequestProps) {
  const { request: waiting, isDecided } = props;
  const { words } = useWords();
  const { data } = useQuery(DecidedRequestDocument, isDecided ? { id: waiting.id } : null);
  const request = data?.node != null && 'status' in data.node ? data.node : waiting;
  const { flag, action, status, requestedBy, reviewedBy, createdAt, reviewedAt, comment } = request;
  const name = textAt(words.actions, action) ?? action;
  const title = `request-${request.id}`;
  const isSet = request.flagCount > 1;
  const isOfSegment = action === 'SAVE_SEGMENT';
  return (
    <article class="panel" aria-labelledby={title}>
      <div class="request-head">
        <h2 id={title}>
          {name}: <Link to={flagPath(flag.key)}>{flag.name}</Link>
        </h2>
        <LevelBadge level={flag.safetyLevel} />
        <Badge>{words.environments[flag.environment]}</Badge>
        {status !== 'PENDING' && <Badge tone="faint">{words.requestStatus[status]}</Badge>}
      </div>
      <p class="quiet">
        {words.requestedBy(requestedBy.name)} · <Time at={createdAt} />
      </p>
      {reviewedBy !== null && reviewedBy !== undefined && (
        <p class="quiet">
          {words.reviewedBy(reviewedBy.name)}
          {reviewedAt !== null && reviewedAt !== undefined && (
            <>
              {' · '}
              <Time at={reviewedAt} />
            </>
          )}
        </p>
      )}
      {comment !== null && comment !== undefined && comment !== '' && <p>{words.quoted(comment)}</p>}
      {request.outdated && status === 'PENDING' && <p class="notice">{words.outdatedRequest}</p>}
      {request.force && <p class="notice">{words.forcedRequest}</p>}
      {(!isSet || isOfSegment) && <DifferenceTable before={request.before} after={request.after} label={name} />}
      {isSet && <SetChanges id={request.id} isCompared={!isOfSegment} />}
      {!isSet && status === 'PENDING' && <RequestAudience id={request.id} />}
      {waiting.status === 'PENDING' && <DecisionForm {...props} />}
    </article>
  );
}
