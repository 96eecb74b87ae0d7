/** The form of an environment's release policy, with what somebody else has set meanwhile. */
import { useState } from 'preact/hooks';
import { useAuditNews } from '../../api/audit-news.ts';
import { ENVIRONMENTS } from '../../api/environments.ts';
import { publish } from '../../api/live.ts';
import { useChange, useQuery } from '../../api/use-query.ts';
import { EditedNotices, useEditedForm } from '../../changes/edited-form.tsx';
import type { Edited } from '../../changes/edited-state.ts';
import { useWrong } from '../../flags/form/use-wrong.ts';
import { OneReleasePolicyDocument, SetReleasePolicyDocument, type PolicyFragment } from '../../generated/operations.ts';
import type { TargetedSubmitEvent } from '../../navigation/events.ts';
import { Link } from '../../navigation/router.tsx';
import { keptForms } from '../../parts/kept-forms.ts';
import { FaultNotice, Loading, Page } from '../../parts/parts.tsx';
import { mayNot, sessionState } from '../../session/session.ts';
import { useStore } from '../../store.ts';
import { useAdministrationWords } from '../../words/use-administration-words.ts';
import { policyDraftOf, policyFaultsOf, policyInput, type TypedPolicy } from './policy-draft.ts';
import { PolicyFields } from './policy-fields.tsx';
import { usePolicyWords } from './policy-view.tsx';

interface FormProps {
  /** The policy as it is now. */
  readonly policy: PolicyFragment;
  readonly refresh: () => void;
}

/** The forms of policies that were left. */
const leftForms = keptForms<Edited<PolicyFragment, TypedPolicy>>();

function PolicyForm({ policy: now, refresh }: FormProps) {
  const { words, own } = useAdministrationWords();
  const { partsOf } = usePolicyWords();
  const [outcome, setOutcome] = useState<'policySaved' | 'policyProposed' | null>(null);
  const [save, change] = useChange(SetReleasePolicyDocument, ({ setReleasePolicy: set }) => {
    setOutcome(set.proposal == null ? 'policySaved' : 'policyProposed');
    publish({ about: 'request' });
  });
  const { sending, fault } = change;
  const { form, wrongAt, setFaults } = useWrong(fault);
  const edited = useEditedForm<PolicyFragment, TypedPolicy>({
    ...{ leftForms, about: now.environment, now, draftOf: policyDraftOf, contentOf: partsOf, change, refresh },
    fresh: () => policyDraftOf(now),
    isDone: outcome !== null,
  });
  const { draft, hasChanged, seen } = edited;
  if (outcome !== null)
    return (
      <div class="panel" role="status">
        <p>{own[outcome]}</p>
        <Link to="/policies" class="button">
          {own.toPolicies}
        </Link>
      </div>
    );
  const choose = (next: TypedPolicy) => {
    edited.choose(next);
    setFaults({});
  };
  const submit = (event: TargetedSubmitEvent) => {
    event.preventDefault();
    const found = policyFaultsOf(draft);
    setFaults(found);
    if (Object.keys(found).length > 0) return;
    const expected = seen?.updatedAt == null ? {} : { expectedUpdatedAt: seen.updatedAt };
    save({ input: policyInput(now.environment, draft), ...expected });
  };
  return (
    <>
      <EditedNotices form={edited} title={own.policyChanged} />
      <form ref={form} class="form panel" onSubmit={submit} noValidate>
        <PolicyFields draft={draft} wrongAt={wrongAt} onDraft={choose} />
        {fault !== null && <FaultNotice fault={fault} />}
        <p class="quiet">{words.forms.loseLead}</p>
        <div class="buttons">
          <button type="submit" class="button button-main" disabled={sending || hasChanged}>
            {own.savePolicy}
          </button>
          <Link to="/policies" class="button" onOpen={edited.discard}>
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
      {data !== null && refused === null && <PolicyForm policy={data.releasePolicy} refresh={refresh} />}
    </Page>
  );
}
