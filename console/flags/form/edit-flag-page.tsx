/** The form by which a flag is changed. */
import { useEffect, useState } from 'preact/hooks';
import { publish } from '../../api/live.ts';
import { useChange } from '../../api/use-query.ts';
import { ChangeAudience } from '../../changes/change-audience.tsx';
import { ChangeOutcome, type Outcome } from '../../changes/change-outcome.tsx';
import { ConfirmChange } from '../../changes/confirm-change.tsx';
import { DisturbanceField } from '../../changes/disturbance-field.tsx';
import { EditedNotices, useEditedForm } from '../../changes/edited-form.tsx';
import type { Edited } from '../../changes/edited-state.ts';
import { contentOf, type Flag } from '../../changes/flag-content.ts';
import { UpdateFlagDocument } from '../../generated/operations.ts';
import type { TargetedSubmitEvent } from '../../navigation/events.ts';
import { flagPath } from '../../navigation/paths.ts';
import { Link } from '../../navigation/router.tsx';
import { keptForms } from '../../parts/kept-forms.ts';
import { FaultNotice } from '../../parts/parts.tsx';
import { useWords } from '../../words/language.ts';
import { FlagChangePage, outcomeOf, publishChange } from './edited-flag.tsx';
import {
  changedFlagMembers,
  concernsValues,
  flagDraftOf,
  flagFaultsOf,
  isLower,
  NEW_FLAG,
  type FlagDraft,
} from './flag-draft.ts';
import { FlagFields } from './flag-fields.tsx';
import { useWrong } from './use-wrong.ts';

/** Forms of flags that the user has left without saving. */
const leftForms = keptForms<Edited<Flag, FlagDraft>>();

/** Keeps the form of a flag, and gives the change that it makes. */
function useFlagForm(now: Flag) {
  const [outcome, setOutcome] = useState<Outcome | null>(null);
  const [update, change] = useChange(UpdateFlagDocument, ({ updateFlag }) => {
    setOutcome(outcomeOf(updateFlag, base.revision));
    publishChange(updateFlag);
  });
  const edited = useEditedForm<Flag, FlagDraft>({
    ...{ leftForms, about: now.key, now, draftOf: flagDraftOf, contentOf, change },
    fresh: () => NEW_FLAG,
    refresh: () => publish({ about: 'flag', key: now.key }),
    isDone: outcome !== null,
  });
  const { draft } = edited;
  const base = edited.seen ?? now;
  const input = changedFlagMembers(flagDraftOf(base), draft, now.type);
  const isLowered = isLower(draft.safetyLevel, base.safetyLevel);
  return {
    ...{ edited, change, outcome, input, isLowered },
    isMoved: draft.environment !== base.environment,
    /** Whether a second person has to approve the change. */
    waits: isLowered || [base.safetyLevel, draft.safetyLevel].includes('ASIL_D'),
    send: (mayDisturb: boolean) => update({ key: now.key, input, expectedRevision: base.revision, force: mayDisturb }),
    endUnchanged: () => setOutcome('none'),
  };
}

function ChangeForm({ flag: now }: { readonly flag: Flag }) {
  const { words } = useWords();
  const { edited, change, outcome, input, isLowered, isMoved, waits, send, endUnchanged } = useFlagForm(now);
  const [mayDisturb, setMayDisturb] = useState(false);
  /** Whether the dialog is open that asks to confirm a change of the values that vehicles get. */
  const [isConfirming, setConfirming] = useState(false);
  const { draft, hasChanged } = edited;
  const { sending, fault, forget } = change;
  const { form, wrongAt, setFaults } = useWrong(fault);
  const isAboutField = fault !== null && fault.field !== null && fault.field !== 'force';
  useEffect(() => {
    // The dialog would cover the notice that the flag was changed meanwhile, or the field that was refused.
    if (hasChanged || isAboutField) setConfirming(false);
  }, [hasChanged, isAboutField]);
  if (outcome !== null) return <ChangeOutcome outcome={outcome} flagKey={now.key} />;
  const submit = (event: TargetedSubmitEvent) => {
    event.preventDefault();
    const found = flagFaultsOf(draft, now.type);
    setFaults(found);
    if (Object.keys(found).length > 0) return;
    if (Object.keys(input).length === 0) endUnchanged();
    else if (concernsValues(input)) setConfirming(true);
    else send(mayDisturb);
  };
  const action = waits ? words.forms.request : words.forms.save;
  return (
    <>
      <EditedNotices form={edited} title={words.forms.changedMeanwhile} />
      <form ref={form} class="form panel" onSubmit={submit} noValidate>
        <FlagFields
          draft={draft}
          type={now.type}
          wrongAt={wrongAt}
          onDraft={(next) => {
            edited.choose(next);
            setFaults({});
          }}
        />
        {isMoved && <p class="notice">{words.forms.movesLead(words.environments[draft.environment])}</p>}
        {waits && <p class="notice">{isLowered ? words.forms.lowersLevel : words.needsSecondPerson}</p>}
        {fault !== null && <FaultNotice fault={fault} />}
        <DisturbanceField fault={fault} mayDisturb={mayDisturb} onCheck={setMayDisturb} />
        <p class="quiet">{words.forms.loseLead}</p>
        <div class="buttons">
          <button type="submit" class="button button-main" disabled={sending || hasChanged}>
            {action}
          </button>
          <Link to={flagPath(now.key)} class="button" onOpen={edited.discard}>
            {words.forms.discard}
          </Link>
        </div>
      </form>
      {isConfirming && (
        <ConfirmChange
          title={action}
          lead={words.forms.changesValues}
          waits={waits}
          sending={sending}
          fault={fault}
          onClose={() => {
            setConfirming(false);
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
