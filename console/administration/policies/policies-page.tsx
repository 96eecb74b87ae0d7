/** The release policies of all environments, with those that wait for a second person. */
import { useAuditNews } from '../../api/audit-news.ts';
import { publish } from '../../api/live.ts';
import { useQuery } from '../../api/use-query.ts';
import { ReleasePoliciesDocument, type PolicyFragment } from '../../generated/operations.ts';
import { policyPath } from '../../navigation/paths.ts';
import { Offer } from '../../parts/offer.tsx';
import { FaultNotice, Loading, Page, Time } from '../../parts/parts.tsx';
import { mayNot, sessionState } from '../../session/session.ts';
import { useStore } from '../../store.ts';
import { useAdministrationWords } from '../../words/use-administration-words.ts';
import { PolicyView } from './policy-view.tsx';
import { Proposal } from './proposal.tsx';

interface PresentProps {
  readonly policy: PolicyFragment;
  readonly refresh: () => void;
}

function Present({ policy, refresh }: PresentProps) {
  const { words, own } = useAdministrationWords();
  const { session } = useStore(sessionState);
  const { environment, updatedAt, updatedBy, proposal } = policy;
  const name = words.environments[environment];
  const title = `policy-${environment}`;
  return (
    <section class="panel" aria-labelledby={title}>
      <h2 id={title}>{name}</h2>
      {updatedAt != null && (
        <p class="quiet">
          {updatedBy != null && <>{own.policySetBy(updatedBy.name)} · </>}
          <Time at={updatedAt} />
        </p>
      )}
      <PolicyView policy={policy} label={own.policyOf(name)} />
      <div class="buttons">
        <Offer why={mayNot(session, 'setPolicy', words)} label={own.changePolicyOf(name)} to={policyPath(environment)}>
          {own.changePolicy}
        </Offer>
      </div>
      {proposal != null && (
        <Proposal
          key={proposal.id}
          policy={policy}
          proposal={proposal}
          done={() => {
            refresh();
            publish({ about: 'request' });
          }}
        />
      )}
    </section>
  );
}

/** Shows the page: the policy of each environment, and its proposal where one waits. */
export function PoliciesPage() {
  const { words, own } = useAdministrationWords();
  const { data, fault, refresh } = useQuery(ReleasePoliciesDocument, {});
  useAuditNews((action) => action.includes('RELEASE_POLICY') && refresh());
  return (
    <Page title={words.policies}>
      <p class="lead">{own.policiesLead}</p>
      {fault !== null && <FaultNotice fault={fault} retry={refresh} />}
      {data === null && fault === null && <Loading />}
      {data !== null &&
        [data.production, data.staging, data.development].map((policy) => (
          <Present key={policy.environment} policy={policy} refresh={refresh} />
        ))}
    </Page>
  );
}
