/** The form by which operations are registered, from a pasted text. */
import { useState } from 'preact/hooks';
import { presentTime } from '../../api/clock.ts';
import { useChange, useQuery } from '../../api/use-query.ts';
import { EditedNotices, useNewForm } from '../../changes/edited-form.tsx';
import type { Edited } from '../../changes/edited-state.ts';
import {
  KeysDocument,
  RegisterOperationsDocument,
  type RegisterOperationsMutation,
} from '../../generated/operations.ts';
import { keyState } from '../keys/key-state.ts';
import type { TargetedSubmitEvent } from '../../navigation/events.ts';
import { operationPath } from '../../navigation/paths.ts';
import { Link } from '../../navigation/router.tsx';
import { CheckList } from '../../parts/check-list.tsx';
import { keptForms } from '../../parts/kept-forms.ts';
import { LongTextField } from '../../parts/long-text-field.tsx';
import { FaultNotice, Page } from '../../parts/parts.tsx';
import { TextField } from '../../parts/text-field.tsx';
import { useAdministrationWords } from '../../words/use-administration-words.ts';
import { readPasted } from './pasted-operations.ts';

type Registered = RegisterOperationsMutation['registerPersistedOperations'];

/** The members that are typed into the form. */
interface OperationsDraft {
  readonly pasted: string;
  readonly id: string;
  readonly keys: readonly string[];
}

/** The forms of operations that were left. */
const leftForms = keptForms<Edited<null, OperationsDraft>>();
const fresh = (): OperationsDraft => ({ pasted: '', id: '', keys: [] });

/** The page of the form, and then of what it has registered. */
export function NewOperationsPage() {
  const { own, formats } = useAdministrationWords();
  const [tried, setTried] = useState(false);
  const [registered, setRegistered] = useState<Registered | null>(null);
  const known = useQuery(KeysDocument, {});
  const [register, change] = useChange(RegisterOperationsDocument, ({ registerPersistedOperations }) =>
    setRegistered(registerPersistedOperations),
  );
  const { sending, fault } = change;
  const edited = useNewForm({ leftForms, fresh, change, isDone: registered !== null });
  const { pasted, id, keys } = edited.draft;
  const choose = (next: Partial<OperationsDraft>) => edited.choose({ ...edited.draft, ...next });
  const read = readPasted(pasted, id);
  const faults = { missing: own.manifestMissing, notJson: own.notJson, noName: own.noName };
  // The path goes on with the place in the manifest.
  const refusal = fault?.field?.startsWith('manifest') === true ? fault.message : null;
  const wrong = tried && read.fault !== null ? faults[read.fault] : refusal;
  const submit = (event: TargetedSubmitEvent) => {
    event.preventDefault();
    setTried(true);
    if (read.manifest === null) event.currentTarget.querySelector('textarea')?.focus();
    else register({ manifest: read.manifest, apiKeys: keys.length === 0 ? null : keys });
  };
  if (registered !== null)
    return (
      <Page title={own.newOperations}>
        <p class="notice" role="status">
          {own.registered(registered.length, formats.number(registered.length))}
        </p>
        <ul class="operation-list">
          {registered.map((operation) => (
            <li key={operation.id}>
              <Link to={operationPath(operation.id)}>{operation.name}</Link>
            </li>
          ))}
        </ul>
        <p>
          <Link to="/operations">{own.toOperations}</Link>
        </p>
      </Page>
    );
  const valid = known.data?.apiKeys.filter((key) => keyState(key, presentTime()) === 'valid') ?? [];
  return (
    <Page title={own.newOperations}>
      <EditedNotices form={edited} />
      <form class="form" onSubmit={submit} noValidate>
        <LongTextField
          label={own.manifest}
          hint={own.manifestHint}
          wrong={wrong}
          isCode
          rows={12}
          required
          value={pasted}
          onType={(pasted) => choose({ pasted })}
        />
        <TextField
          label={own.operationId}
          hint={own.operationIdHint}
          value={id}
          onType={(next) => choose({ id: next })}
          maxLength={128}
        />
        {known.fault !== null && <FaultNotice fault={known.fault} retry={known.refresh} />}
        {known.data !== null && (
          <CheckList
            label={own.bindKeys}
            hint={own.bindKeysHint}
            options={valid.map((key) => [key.id, `${key.name} (${key.keyPrefix})`])}
            chosen={new Set(keys)}
            onChoose={(next) => choose({ keys: [...next].sort() })}
            none={own.noKeysYet}
          />
        )}
        {fault !== null && <FaultNotice fault={fault} />}
        <button type="submit" class="button button-main" disabled={sending}>
          {own.register}
        </button>
      </form>
    </Page>
  );
}
