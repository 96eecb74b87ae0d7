/** A looser release policy that waits: what it changes, in which ways it is looser, and its approval. */
import { useRef, useState } from 'preact/hooks';
import { useChange } from '../../api/use-query.ts';
import { DifferenceTable } from '../../changes/difference-table.tsx';
import {
  ApproveReleasePolicyDocument,
  RejectReleasePolicyDocument,
  type PolicyFragment,
} from '../../generated/operations.ts';
import { LongTextField } from '../../parts/long-text-field.tsx';
import { FaultNotice, Time } from '../../parts/parts.tsx';
import { may, sessionState } from '../../session/session.ts';
import { useStore } from '../../store.ts';
import { useAdministrationWords } from '../../words/use-administration-words.ts';
import { usePolicyWords } from './policy-view.tsx';

interface ProposalProps {
  readonly policy: PolicyFragment;
  readonly proposal: NonNullable<PolicyFragment['proposal']>;
  /** Called when it is decided. */
  readonly done: () => void;
}

/** Shows the proposal of a policy beside the policy, and the form by which a second person decides. */
export function Proposal({ policy, proposal, done }: ProposalProps) {
  const { words, own } = useAdministrationWords();
  const { session } = useStore(sessionState);
  const { partsOf } = usePolicyWords();
  const [comment, setComment] = useState('');
  const [needsComment, setNeedsComment] = useState(false);
  const area = useRef<HTMLTextAreaElement>(null);
  const [approve, approving] = useChange(ApproveReleasePolicyDocument, done);
  const [reject, rejecting] = useChange(RejectReleasePolicyDocument, done);
  const fault = approving.fault ?? rejecting.fault;
  const sending = approving.sending || rejecting.sending;
  const isOwn = session?.userId === proposal.proposedBy?.id;
  const mayReview = may(session, 'review');
  const which = { environment: policy.environment, proposalId: proposal.id };
  return (
    <div class="notice">
      <h3>{own.policyWaits}</h3>
      <p class="quiet">
        {proposal.proposedBy != null && <>{own.policyProposedBy(proposal.proposedBy.name)} · </>}
        <Time at={proposal.proposedAt} />
      </p>
      <DifferenceTable before={partsOf(policy)} after={partsOf(proposal)} label={own.policyDifference} />
      <p>{own.loosensBy}</p>
      <ul>
        {proposal.loosens.map((loosening) => (
          <li key={loosening}>{own.loosenings[loosening]}</li>
        ))}
      </ul>
      {isOwn && <p>{own.ownProposal}</p>}
      {!mayReview && <p>{words.mayNotReview}</p>}
      {mayReview && (
        <>
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
            }}
          />
          {fault !== null && <FaultNotice fault={fault} />}
          <div class="buttons">
            {!isOwn && (
              <button
                type="button"
                class="button button-main"
                disabled={sending}
                onClick={() => approve({ ...which, ...(comment.trim() !== '' && { comment: comment.trim() }) })}
              >
                {words.approve}
              </button>
            )}
            <button
              type="button"
              class="button"
              disabled={sending}
              onClick={() => {
                if (comment.trim() === '') {
                  setNeedsComment(true);
                  area.current?.focus();
                } else reject({ ...which, comment: comment.trim() });
              }}
            >
              {isOwn ? own.withdrawPolicy : words.reject}
            </button>
          </div>
        </>
      )}
    </div>
  );
}
