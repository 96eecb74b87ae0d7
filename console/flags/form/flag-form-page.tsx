/** The forms by which a flag is created and changed. */
import { useEffect, useState } from 'preact/hooks';
import { publish } from '../../api/live.ts';
import { useChange } from '../../api/use-query.ts';
import { ChangeAudience } from '../../changes/change-audience.tsx';
import { ChangeOutcome, type Outcome } from '../../changes/change-outcome.tsx';
import { ConfirmChange } from '../../changes/confirm-change.tsx';
import { EditedNotices, useEditedForm, useNewForm } from '../../changes/edited-form.tsx';
import type { Edited } from '../../changes/edited-state.ts';
import { contentOf, type Flag } from '../../changes/flag-content.ts';
import {
  CreateFlagDocument,
  UpdateFlagDocument,
  type ChangedFragment,
  type FlagType,
} from '../../generated/operations.ts';
import type { TargetedSubmitEvent } from '../../navigation/events.ts';
import { flagPath } from '../../navigation/paths.ts';
import { Link } from '../../navigation/router.tsx';
import { CheckField } from '../../parts/check-field.tsx';
import { keptForms } from '../../parts/kept-forms.ts';
import { FaultNotice, Page } from '../../parts/parts.tsx';
import { Select } from '../../parts/select.tsx';
import { TextField } from '../../parts/text-field.tsx';
import { mayNot, sessionState } from '../../session/session.ts';
import { useStore } from '../../store.ts';
import { useWords } from '../../words/language.ts';
import { FlagChangePage, outcomeOf, publishChange } from './edited-flag.tsx';
import {
  changedFlagMembers,
  draftedContract,
  draftedValue,
  flagDraftOf,
  flagFaultsOf,
  isLower,
  NEW_FLAG,
  type FlagDraft,
} from './flag-draft.ts';
import { FlagFields } from './flag-fields.tsx';
import { FLAG_TYPES } from '../flag-filter.ts';
import { readRequirement } from '../requirement-text.ts';
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

interface NewForm {
  readonly key: string;
  readonly type: FlagType;
  readonly draft: FlagDraft;
}

const NEW_FORM: NewForm = { key: '', type: 'BOOLEAN', draft: NEW_FLAG };

/** The form of a new flag that was left. */
const leftNew = keptForms<Edited<null, NewForm>>();

function CreateForm() {
  const { words } = useWords();
  const [created, setCreated] = useState<ChangedFragment | null>(null);
  const [create, change] = useChange(CreateFlagDocument, ({ createFlag }) => {
    setCreated(createFlag);
    publishChange(createFlag);
  });
  const { sending, fault } = change;
  const { form, wrongAt, setFaults } = useWrong(fault);
  const edited = useNewForm({ left: leftNew, fresh: () => NEW_FORM, change, isDone: created !== null });
  const { key, type, draft } = edited.draft;
  if (created !== null)
    return (
      <ChangeOutcome
        outcome={created.applied ? 'applied' : 'waits'}
        flagKey={created.flag.key}
        text={created.applied ? words.forms.created : words.forms.createdDraft}
      />
    );
  const submit = (event: TargetedSubmitEvent) => {
    event.preventDefault();
    const found = { ...(key.trim() === '' && { key: 'key' as const }), ...flagFaultsOf(draft, type) };
    setFaults(found);
    if (Object.keys(found).length > 0) return;
    const { name, description, value, safetyLevel, environment } = draft;
    create({
      input: {
        key: key.trim(),
        name: name.trim(),
        ...(description.trim() !== '' && { description: description.trim() }),
        type,
        defaultValue: draftedValue(value, type),
        ...(draft.contract.trim() !== '' && { valueSchema: draftedContract(draft.contract) }),
        activation: draft.activation,
        killActivation: draft.killActivation,
        safetyLevel,
        environment,
        ...(draft.scope.length > 0 && { scope: draft.scope }),
        ...(draft.requires.length > 0 && { requires: draft.requires.map(readRequirement) }),
        ...(draft.excludes.length > 0 && { excludes: draft.excludes }),
      },
    });
  };
  const choose = (next: Partial<NewForm>) => {
    edited.choose({ ...edited.draft, ...next });
    setFaults({});
  };
  return (
    <form ref={form} class="form panel" onSubmit={submit} noValidate>
      {edited.isRestored && <p class="notice">{words.forms.restored}</p>}
      <TextField
        label={words.forms.key}
        hint={words.forms.keyHint}
        wrong={wrongAt('key')}
        isCode
        required
        maxLength={100}
        value={key}
        onType={(key) => choose({ key })}
      />
      <Select
        label={words.type}
        value={type}
        options={FLAG_TYPES.map((one) => [one, words.types[one]])}
        onChoose={(next) =>
          choose({ type: next ?? type, draft: { ...draft, value: next === 'BOOLEAN' ? 'false' : '' } })
        }
      />
      <p class="quiet">{words.forms.typeHint}</p>
      <FlagFields draft={draft} type={type} wrongAt={wrongAt} onDraft={(next) => choose({ draft: next })} />
      {draft.safetyLevel === 'ASIL_D' && <p class="notice">{words.needsSecondPerson}</p>}
      {fault !== null && <FaultNotice fault={fault} />}
      <p class="quiet">{words.forms.loseLead}</p>
      <div class="buttons">
        <button type="submit" class="button button-main" disabled={sending}>
          {words.forms.createFlag}
        </button>
        <Link to="/flags" class="button" onOpen={edited.discard}>
          {words.forms.discard}
        </Link>
      </div>
    </form>
  );
}

/** The page on which a flag is created. */
export function NewFlagPage() {
  const { words } = useWords();
  const { session } = useStore(sessionState);
  const refused = mayNot(session, 'change', words);
  return <Page title={words.forms.newFlag}>{refused === null ? <CreateForm /> : <p class="notice">{refused}</p>}</Page>;
}
