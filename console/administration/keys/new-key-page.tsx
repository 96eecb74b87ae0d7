/** The form of a new API key, which is then shown once. */
import { useState } from 'preact/hooks';
import { faultsAt } from '../../api/fault.ts';
import { useChange, useQuery } from '../../api/use-query.ts';
import { EditedNotices, useNewForm } from '../../changes/edited-form.tsx';
import type { Edited } from '../../changes/edited-state.ts';
import {
  CreateKeyDocument,
  KeysAndOperationsDocument,
  type CreateKeyMutation,
  type Role,
} from '../../generated/operations.ts';
import type { TargetedSubmitEvent } from '../../navigation/events.ts';
import { keyPath } from '../../navigation/paths.ts';
import { Link } from '../../navigation/router.tsx';
import { CheckList } from '../../parts/check-list.tsx';
import { keptForms } from '../../parts/kept-forms.ts';
import { FaultNotice, Page } from '../../parts/parts.tsx';
import { Secret } from '../../parts/secret.tsx';
import { TextField } from '../../parts/text-field.tsx';
import { useAdministrationWords } from '../../words/use-administration-words.ts';
import { RoleField } from '../role-field.tsx';

const ROLES: readonly Role[] = ['READ', 'WRITE', 'ADMIN'];
const DEFAULT_LIMIT_PER_MIN = 10_000;

function NewKey({ made: { key, apiKey } }: { readonly made: CreateKeyMutation['createApiKey'] }) {
  const { words, own } = useAdministrationWords();
  return (
    <Page title={own.keyIsThere}>
      <section class="panel" aria-label={apiKey.name}>
        <Secret label={apiKey.name} hint={own.secretOnce} secret={key} copyWords={words.copying} />
      </section>
      <p class="buttons">
        <Link to={keyPath(apiKey.id)} class="button">
          {own.toTheKey}
        </Link>
        <Link to="/keys" class="button">
          {own.toKeys}
        </Link>
      </p>
    </Page>
  );
}

/** A new key as it is typed. */
interface NewKeyDraft {
  readonly name: string;
  readonly role: Role;
  readonly limit: string;
  readonly expiresAt: string;
  readonly operations: readonly string[];
}

/** The forms of new keys that were left. */
const leftForms = keptForms<Edited<null, NewKeyDraft>>();
const fresh = (): NewKeyDraft => ({
  ...{ name: '', role: 'READ', limit: String(DEFAULT_LIMIT_PER_MIN), expiresAt: '', operations: [] },
});

/** The page of the form, and then of the key. */
export function NewKeyPage() {
  const { words, own } = useAdministrationWords();
  const known = useQuery(KeysAndOperationsDocument, {});
  const [made, setMade] = useState<CreateKeyMutation['createApiKey'] | null>(null);
  const [create, change] = useChange(CreateKeyDocument, ({ createApiKey }) => setMade(createApiKey));
  const { sending, fault } = change;
  const edited = useNewForm({ leftForms, fresh, change, isDone: made !== null });
  const { name, role, limit, expiresAt, operations } = edited.draft;
  const choose = (next: Partial<NewKeyDraft>) => edited.choose({ ...edited.draft, ...next });
  const [wrongName, wrongRateLimitPerMin, wrongExpiresAt] = faultsAt(
    fault,
    'input.name',
    'input.rateLimitPerMin',
    'input.expiresAt',
  );
  const submit = (event: TargetedSubmitEvent) => {
    event.preventDefault();
    create({
      input: {
        name: name.trim(),
        role,
        rateLimitPerMin: Number(limit),
        ...(expiresAt !== '' && { expiresAt: new Date(expiresAt).toISOString() }),
        ...(operations.length > 0 && { operations }),
      },
    });
  };
  if (made !== null) return <NewKey made={made} />;
  return (
    <Page title={own.newKey}>
      <EditedNotices form={edited} />
      <form class="form" onSubmit={submit}>
        <TextField
          label={words.fields.name}
          hint={own.keyNameHint}
          value={name}
          onType={(next) => choose({ name: next })}
          required
          maxLength={100}
          wrong={wrongName}
        />
        <RoleField roles={ROLES} role={role} onChoose={(next) => choose({ role: next })}>
          {own.keyRoleHint}
        </RoleField>
        <TextField
          label={own.rateLimit}
          hint={own.rateLimitHint}
          type="number"
          min={1}
          max={1_000_000}
          value={limit}
          onType={(next) => choose({ limit: next })}
          required
          wrong={wrongRateLimitPerMin}
        />
        <TextField
          label={own.expiresAt}
          hint={own.expiresAtHint}
          type="datetime-local"
          value={expiresAt}
          onType={(next) => choose({ expiresAt: next })}
          wrong={wrongExpiresAt}
        />
        {known.fault !== null && <FaultNotice fault={known.fault} retry={known.refresh} />}
        {known.data !== null && (
          <CheckList
            label={own.bindOperations}
            hint={own.bindOperationsHint}
            options={known.data.persistedOperations.map(({ id, name: text }) => [id, text])}
            chosen={new Set(operations)}
            onChoose={(next) => choose({ operations: [...next].sort() })}
            none={own.noOperationsYet}
          />
        )}
        {fault !== null && <FaultNotice fault={fault} />}
        <button type="submit" class="button button-main" disabled={sending}>
          {own.createKey}
        </button>
      </form>
    </Page>
  );
}
