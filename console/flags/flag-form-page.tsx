/** The forms by which a flag is created and changed: name, description, default value, contract, safety level, environment. */
import { useEffect, useLayoutEffect, useState } from 'preact/hooks';
import { useChange } from '../api/use-query.ts';
import { ChangeAudience } from '../changes/change-audience.tsx';
import { ChangeOutcome, type Outcome } from '../changes/change-outcome.tsx';
import { ConfirmChange } from '../changes/confirm-change.tsx';
import { ConflictNotice } from '../changes/conflict-notice.tsx';
import { contentOf, type Flag } from '../changes/flag-content.ts';
import { mergedDraft } from '../changes/merged-draft.ts';
import {
  CreateFlagDocument,
  UpdateFlagDocument,
  type ChangedFragment,
  type FlagType,
} from '../generated/operations.ts';
import { isSameJson } from '../json.ts';
import type { TargetedSubmitEvent } from '../navigation/events.ts';
import { flagPath } from '../navigation/paths.ts';
import { Link } from '../navigation/router.tsx';
import { CheckField } from '../parts/check-field.tsx';
import { keptForms, useKeptForm } from '../parts/kept-forms.ts';
import { FaultNotice, Field, Page } from '../parts/parts.tsx';
import { Select } from '../parts/select.tsx';
import { mayNot, sessionState } from '../session/session.ts';
import { useStore } from '../store.ts';
import { useWords } from '../words/language.ts';
import { FlagChangePage, outcomeOf, publishChange, useBase } from './edited-flag.tsx';
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
import { FLAG_TYPES } from './flag-filter.ts';
import { readRequirement } from './requirement-text.ts';
import { useWrong } from './use-wrong.ts';

/** A flag's form that was left: what was typed, and the flag as the form began with it. */
const left = keptForms<{ readonly draft: FlagDraft; readonly base: Flag }>();

function ChangeForm({ flag: now }: { readonly flag: Flag }) {
  const { words } = useWords();
  const kept = useKeptForm(left, now.key);
  const [draft, setDraft] = useState(() => kept.left?.draft ?? flagDraftOf(now));
  const [force, setForce] = useState(false);
  const [outcome, setOutcome] = useState<Outcome | null>(null);
  /** Whether a change of what vehicles get is shown, and has to be confirmed. */
  const [isShown, setShown] = useState(false);
  const [update, { sending, fault, forget }] = useChange(UpdateFlagDocument, ({ updateFlag }) => {
    setOutcome(outcomeOf(updateFlag, revision));
    publishChange(updateFlag);
  });
  const { base, revision, hasChanged, adopt } = useBase(now, fault, kept.left?.base);
  useLayoutEffect(() => kept.keep({ draft, base }, outcome === null && !isSameJson(draft, flagDraftOf(base))));
  const { form, wrongAt, setFaults } = useWrong(fault);
  const isAboutField = fault !== null && fault.field !== null && fault.field !== 'force';
  useEffect(() => {
    // The next thing to see is below the dialog: the other state of the flag, or the field that is refused.
    if (hasChanged || isAboutField) setShown(false);
  }, [hasChanged, isAboutField]);
  if (outcome !== null) return <ChangeOutcome outcome={outcome} flagKey={now.key} />;
  const input = changedFlagMembers(flagDraftOf(base), draft, now.type);
  const lowers = isLower(draft.safetyLevel, base.safetyLevel);
  const waits = lowers || [base.safetyLevel, draft.safetyLevel].includes('ASIL_D');
  const send = (disturbs: boolean) => update({ key: now.key, input, expectedRevision: revision, force: disturbs });
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
    setDraft(next);
    setFaults({});
    forget();
  };
  return (
    <>
      {hasChanged && (
        <ConflictNotice
          base={contentOf(base)}
          now={contentOf(now)}
          apply={() => {
            choose(mergedDraft(flagDraftOf(base), draft, flagDraftOf(now)));
            adopt();
          }}
        />
      )}
      {kept.left !== undefined && <p class="notice">{words.forms.restored}</p>}
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
          <Link to={flagPath(now.key)} class="button" onOpen={kept.discard}>
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
const leftNew = keptForms<NewForm>();

function CreateForm() {
  const { words } = useWords();
  const kept = useKeptForm(leftNew, '');
  const [key, setKey] = useState((kept.left ?? NEW_FORM).key);
  const [type, setType] = useState((kept.left ?? NEW_FORM).type);
  const [draft, setDraft] = useState((kept.left ?? NEW_FORM).draft);
  const [created, setCreated] = useState<ChangedFragment | null>(null);
  const [create, { sending, fault, forget }] = useChange(CreateFlagDocument, ({ createFlag }) => {
    setCreated(createFlag);
    publishChange(createFlag);
  });
  const { form, wrongAt, setFaults } = useWrong(fault);
  useLayoutEffect(() => {
    const typed = { key, type, draft };
    kept.keep(typed, created === null && !isSameJson(typed, NEW_FORM));
  });
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
  const touch = () => {
    setFaults({});
    forget();
  };
  return (
    <form ref={form} class="form panel" onSubmit={submit} noValidate>
      {kept.left !== undefined && <p class="notice">{words.forms.restored}</p>}
      <Field label={words.forms.key} hint={words.forms.keyHint} wrong={wrongAt('key')}>
        {(control) => (
          <input
            {...control}
            type="text"
            required
            maxLength={100}
            autocomplete="off"
            autocapitalize="off"
            spellcheck={false}
            value={key}
            onInput={(event) => {
              setKey(event.currentTarget.value);
              touch();
            }}
          />
        )}
      </Field>
      <Select
        label={words.type}
        value={type}
        options={FLAG_TYPES.map((one) => [one, words.types[one]])}
        onChoose={(next) => {
          setType(next ?? type);
          setDraft({ ...draft, value: next === 'BOOLEAN' ? 'false' : '' });
          touch();
        }}
      />
      <p class="quiet">{words.forms.typeHint}</p>
      <FlagFields
        draft={draft}
        type={type}
        wrongAt={wrongAt}
        onDraft={(next) => {
          setDraft(next);
          touch();
        }}
      />
      {draft.safetyLevel === 'ASIL_D' && <p class="notice">{words.needsSecondPerson}</p>}
      {fault !== null && <FaultNotice fault={fault} />}
      <p class="quiet">{words.forms.loseLead}</p>
      <div class="buttons">
        <button type="submit" class="button button-main" disabled={sending}>
          {words.forms.createFlag}
        </button>
        <Link to="/flags" class="button" onOpen={kept.discard}>
          {words.forms.discard}
        </Link>
      </div>
    </form>
  );
}

export function NewFlagPage() {
  const { words } = useWords();
  const { session } = useStore(sessionState);
  const refused = mayNot(session, 'change', words);
  return <Page title={words.forms.newFlag}>{refused === null ? <CreateForm /> : <p class="notice">{refused}</p>}</Page>;
}
