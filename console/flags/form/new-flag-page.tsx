/** The form by which a flag is created. */
import { useState } from 'preact/hooks';
import { useChange } from '../../api/use-query.ts';
import { ChangeOutcome } from '../../changes/change-outcome.tsx';
import { useNewForm } from '../../changes/edited-form.tsx';
import type { Edited } from '../../changes/edited-state.ts';
import { CreateFlagDocument, type ChangedFragment, type FlagType } from '../../generated/operations.ts';
import type { TargetedSubmitEvent } from '../../navigation/events.ts';
import { Link } from '../../navigation/router.tsx';
import { keptForms } from '../../parts/kept-forms.ts';
import { FaultNotice, Page } from '../../parts/parts.tsx';
import { Select } from '../../parts/select.tsx';
import { TextField } from '../../parts/text-field.tsx';
import { mayNot, sessionState } from '../../session/session.ts';
import { useStore } from '../../store.ts';
import { useWords } from '../../words/language.ts';
import { publishChange } from './edited-flag.tsx';
import { flagFaultsOf, NEW_FLAG, newFlagInput, type FlagDraft } from './flag-draft.ts';
import { FlagFields } from './flag-fields.tsx';
import { FLAG_TYPES } from '../flag-filter.ts';
import { useWrong } from './use-wrong.ts';

interface NewForm {
  readonly key: string;
  readonly type: FlagType;
  readonly draft: FlagDraft;
}

const NEW_FORM: NewForm = { key: '', type: 'BOOLEAN', draft: NEW_FLAG };

/** The form of a new flag that was left. */
const leftForms = keptForms<Edited<null, NewForm>>();

function CreateForm() {
  const { words } = useWords();
  const [created, setCreated] = useState<ChangedFragment | null>(null);
  const [create, change] = useChange(CreateFlagDocument, ({ createFlag }) => {
    setCreated(createFlag);
    publishChange(createFlag);
  });
  const { sending, fault } = change;
  const { form, wrongAt, setFaults } = useWrong(fault);
  const edited = useNewForm({ leftForms, fresh: () => NEW_FORM, change, isDone: created !== null });
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
    create({ input: newFlagInput(key, type, draft) });
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
