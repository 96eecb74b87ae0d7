/** The form by which a flag is changed. */
import { useEffect, useState } from 'preact/hooks';
import { publish } from '../../api/live.ts';
import { useChange } from '../../api/use-query.ts';
import { ChangeAudience } from '../../changes/change-audience.tsx';
import { ChangeOutcome, type Outcome } from '../../changes/change-outcome.tsx';
import { ConfirmChange } from '../../changes/confirm-change.tsx';
import { EditedNotices, useEditedForm } from '../../changes/edited-form.tsx';
import type { Edited } from '../../changes/edited-state.ts';
import { contentOf, type Flag } from '../../changes/flag-content.ts';
import { UpdateFlagDocument } from '../../generated/operations.ts';
import type { TargetedSubmitEvent } from '../../navigation/events.ts';
import { flagPath } from '../../navigation/paths.ts';
import { Link } from '../../navigation/router.tsx';
import { CheckField } from '../../parts/check-field.tsx';
import { keptForms } from '../../parts/kept-forms.ts';
import { FaultNotice } from '../../parts/parts.tsx';
import { useWords } from '../../words/language.ts';
import { FlagChangePage, outcomeOf, publishChange } from './edited-flag.tsx';
import { changedFlagMembers, flagDraftOf, flagFaultsOf, isLower, NEW_FLAG, type FlagDraft } from './flag-draft.ts';
import { FlagFields } from './flag-fields.tsx';
import { useWrong } from './use-wrong.ts';

/** Forms of flags that the user has left without saving. */
const left = keptForms<Edited<Flag, FlagDraft>>();

function ChangeForm({ flag: now }: { readonly flag: Flag }) {
  const { words } = useWords();
  const [force, setForce] = useState(false);
  const [outcome, setOutcome] = useState<Outcome | null>(null);
  /** Whether the dialog is open that asks to confirm a change of the values that vehicles get. */
  const [isShown, setShown] = useState(false);
  const [update, change] = useChange(UpdateFlagDocument, ({ updateFlag }) => {
    setOutcome(outcomeOf(updateFlag, base.revision));
    publishChange(updateFlag);
  });
  const { sending, fault, forget } = change;
  const edited = useEditedForm<Flag, FlagDraft>({
    ...{ left, about: now.key, now, draftOf: flagDraftOf, contentOf, change },
    fresh: () => NEW_FLAG,
    refresh: () => publish({ about: 'flag', key: now.key }),
    isDone: outcome !== null,
  });
  const { draft, hasChanged, seen } = edited;
  const base = seen ?? now;
  const { form, wrongAt, setFaults } = useWrong(fault);
  const isAboutField = fault !== null && fault.field !== null && fault.field !== 'force';
  useEffect(() => {
    // The dialog would cover the notice that the flag was changed meanwhile, or the field that was refused.
    if (hasChanged || isAboutField) setShown(false);
  }, [hasChanged, isAboutField]);
  if (outcome !== null) return <ChangeOutcome outcome={outcome} flagKey={now.key} />;
  const input = changedFlagMembers(flagDraftOf(base), draft, now.type);
  const lowers = isLower(draft.safetyLevel, base.safetyLevel);
  const waits = lowers || [base.safetyLevel, draft.safetyLevel].includes('ASIL_D');
  const send = (disturbs: boolean) => update({ key: now.key, input, expectedRevision: base.revision, force: disturbs });
  const submit = (event: TargetedSubmitEvent) => {
    event.preventDefault();
    const found = flagFaultsOf(draft, now.type);
    setFaults(found);
    if (Object.keys(found).length > 0) return;
    if (Object.keys(input).length === 0) setOutcome('none');
    else if (['defaultValue', 'environment', 'scope', 'requires', 'excludes'].some((name) => name in input))
      setShown(true);
    else send(force);
  };
  const choose = (next: FlagDraft) => {
    edited.choose(next);
    setFaults({});
  };
  return (
    <>
      <EditedNotices form={edited} title={words.forms.changedMeanwhile} />
      <form ref={form} class="form panel" onSubmit={submit} noValidate>
        <FlagFields draft={draft} type={now.type} wrongAt={wrongAt} onDraft={choose} />
        {draft.environment !== base.environment && (
          <p class="notice">{words.forms.movesLead(words.environments[draft.environment])}</p>
        )}
        {waits && <p class="notice">{lowers ? words.forms.lowersLevel : words.needsSecondPerson}</p>}
        {fault !== null && <FaultNotice fault={fault} />}
        {(force || fault?.field === 'force') && (
          <CheckField label={words.forms.disturbs} hint={words.forms.disturbsHint} checked={force} onCheck={setForce} />
        )}
        <p class="quiet">{words.forms.loseLead}</p>
        <div class="buttons">
          <button type="submit" class="button button-main" disabled={sending || hasChanged}>
            {waits ? words.forms.request : words.forms.save}
          </button>
          <Link to={flagPath(now.key)} class="button" onOpen={edited.discard}>
            {words.forms.discard}
          </Link>
        </div>
      </form>
      {isShown && (
        <ConfirmChange
          title={waits ? words.forms.request : words.forms.save}
          lead={words.forms.changesValues}
          waits={waits}
          sending={sending}
          fault={fault}
          onClose={() => {
            setShown(false);
            forget();
          }}
          send={send}
        >
          <ChangeAudience flag={now} change={{ updateFlag: input }} />
        </ConfirmChange>
      )}
    </>
  );
}

/** The page on which a flag is changed. */
export function EditFlagPage({ flagKey }: { readonly flagKey: string }) {
  const { words } = useWords();
  return (
    <FlagChangePage flagKey={flagKey} title={words.forms.changeFlag}>
      {(flag) => <ChangeForm flag={flag} />}
    </FlagChangePage>
  );
}
