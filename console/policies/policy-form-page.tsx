/** The form of an environment's release policy, with what somebody else has set meanwhile. */
import { useState } from 'preact/hooks';
import { useAuditNews } from '../api/audit-news.ts';
import { ENVIRONMENTS, publish } from '../api/live.ts';
import { useChange, useQuery } from '../api/use-query.ts';
import { ConflictNotice } from '../changes/conflict-notice.tsx';
import { mergedDraft } from '../changes/merged-draft.ts';
import { useWrong } from '../flags/use-wrong.ts';
import { OneReleasePolicyDocument, SetReleasePolicyDocument, type PolicyFragment } from '../generated/operations.ts';
import type { TargetedSubmitEvent } from '../navigation/events.ts';
import { Link } from '../navigation/router.tsx';
import { FaultNotice, Loading, Page } from '../parts/parts.tsx';
import { mayNot, sessionState } from '../session/session.ts';
import { useStore } from '../store.ts';
import { useAdministrationWords } from '../words/use-administration-words.ts';
import { policyDraftOf, policyFaultsOf, policyInput, type TypedPolicy } from './policy-draft.ts';
import { PolicyFields } from './policy-fields.tsx';
import { usePolicyWords } from './policy-view.tsx';

interface FormProps {
  /** The policy as it is now. */
  readonly policy: PolicyFragment;
}

function PolicyForm({ policy: now }: FormProps) {
  const { words, own } = useAdministrationWords();
  const { partsOf } = usePolicyWords();
  const [base, setBase] = useState(now);
  const [draft, setDraft] = useState(() => policyDraftOf(now));
  const [outcome, setOutcome] = useState<'policySaved' | 'policyProposed' | null>(null);
  const [save, { sending, fault, forget }] = useChange(SetReleasePolicyDocument, ({ setReleasePolicy: set }) => {
    setOutcome(set.proposal == null ? 'policySaved' : 'policyProposed');
    publish({ about: 'request' });
  });
  const { form, wrongAt, setFaults } = useWrong(fault);
  if (outcome !== null)
    return (
      <div class="panel" role="status">
        <p>{own[outcome]}</p>
        <Link to="/policies" class="button">
          {own.toPolicies}
        </Link>
      </div>
    );
  const hasChanged = !sending && base.updatedAt !== now.updatedAt;
  const choose = (next: TypedPolicy) => {
    setDraft(next);
    setFaults({});
    forget();
  };
  const submit = (event: TargetedSubmitEvent) => {
    event.preventDefault();
    const found = policyFaultsOf(draft);
    setFaults(found);
    if (Object.keys(found).length > 0) return;
    const seen = base.updatedAt == null ? {} : { expectedUpdatedAt: base.updatedAt };
    save({ input: policyInput(now.environment, draft), ...seen });
  };
  return (
    <>
      {hasChanged && (
        <ConflictNotice
          title={own.policyChanged}
          base={partsOf(base)}
          now={partsOf(now)}
          apply={() => {
            choose(mergedDraft(policyDraftOf(base), draft, policyDraftOf(now)));
            setBase(now);
          }}
        />
      )}
      <form ref={form} class="form panel" onSubmit={submit} noValidate>
        <PolicyFields draft={draft} wrongAt={wrongAt} onDraft={choose} />
        {fault !== null && <FaultNotice fault={fault} />}
        <p class="quiet">{words.forms.loseLead}</p>
        <div class="buttons">
          <button type="submit" class="button button-main" disabled={sending || hasChanged}>
            {own.savePolicy}
          </button>
          <Link to="/policies" class="button">
            {words.forms.discard}
          </Link>
        </div>
      </form>
    </>
  );
}

/** @param name the environment in the page's address, such as `production` */
export function PolicyFormPage({ name }: { readonly name: string }) {
  const { words, own } = useAdministrationWords();
  const { session } = useStore(sessionState);
  const environment = ENVIRONMENTS.find((one) => one.toLowerCase() === name) ?? null;
  const { data, fault, refresh } = useQuery(OneReleasePolicyDocument, environment && { environment });
  useAuditNews((action) => action.includes('RELEASE_POLICY') && refresh());
  if (environment === null) return <Page title={words.policies}>{<p class="empty">{own.noSuchEnvironment}</p>}</Page>;
  const refused = mayNot(session, 'setPolicy', words);
  return (
    <Page title={own.policyOf(words.environments[environment])}>
      {fault !== null && <FaultNotice fault={fault} retry={refresh} />}
      {data === null && fault === null && <Loading />}
      {data !== null && refused !== null && <p class="notice">{refused}</p>}
      {data !== null && refused === null && <PolicyForm policy={data.releasePolicy} />}
    </Page>
  );
}
