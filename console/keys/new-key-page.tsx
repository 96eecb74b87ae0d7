/** The form of a new API key, which is then shown once. */
import { useState } from 'preact/hooks';
import { faultsAt } from '../api/fault.ts';
import { useChange, useQuery } from '../api/use-query.ts';
import {
  CreateKeyDocument,
  KeysAndOperationsDocument,
  type CreateKeyMutation,
  type Role,
} from '../generated/operations.ts';
import type { TargetedSubmitEvent } from '../navigation/events.ts';
import { keyPath } from '../navigation/paths.ts';
import { Link } from '../navigation/router.tsx';
import { CheckList } from '../parts/check-list.tsx';
import { FaultNotice, Page } from '../parts/parts.tsx';
import { Secret } from '../parts/secret.tsx';
import { Select } from '../parts/select.tsx';
import { TextField } from '../parts/text-field.tsx';
import { useAdministrationWords } from '../words/use-administration-words.ts';

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

export function NewKeyPage() {
  const { words, own } = useAdministrationWords();
  const [name, setName] = useState('');
  const [role, setRole] = useState<Role>('READ');
  const [limit, setLimit] = useState(String(DEFAULT_LIMIT_PER_MIN));
  const [expiresAt, setExpiresAt] = useState('');
  const [operations, setOperations] = useState<ReadonlySet<string>>(new Set());
  const known = useQuery(KeysAndOperationsDocument, {});
  const [made, setMade] = useState<CreateKeyMutation['createApiKey'] | null>(null);
  const [create, { sending, fault }] = useChange(CreateKeyDocument, ({ createApiKey }) => setMade(createApiKey));
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
        ...(operations.size > 0 && { operations: [...operations] }),
      },
    });
  };
  if (made !== null) return <NewKey made={made} />;
  return (
    <Page title={own.newKey}>
      <form class="form" onSubmit={submit}>
        <TextField
          label={words.fields.name}
          hint={own.keyNameHint}
          value={name}
          onType={setName}
          required
          maxLength={100}
          wrong={wrongName}
        />
        <Select
          label={own.role}
          value={role}
          options={ROLES.map((one) => [one, words.roles[one]])}
          onChoose={(next) => next !== null && setRole(next)}
        />
        <p class="quiet">
          {own.roleEffects[role]} {own.keyRoleHint}
        </p>
        <TextField
          label={own.rateLimit}
          hint={own.rateLimitHint}
          type="number"
          min={1}
          max={1_000_000}
          value={limit}
          onType={setLimit}
          required
          wrong={wrongRateLimitPerMin}
        />
        <TextField
          label={own.expiresAt}
          hint={own.expiresAtHint}
          type="datetime-local"
          value={expiresAt}
          onType={setExpiresAt}
          wrong={wrongExpiresAt}
        />
        {known.fault !== null && <FaultNotice fault={known.fault} retry={known.refresh} />}
        {known.data !== null && (
          <CheckList
            label={own.bindOperations}
            hint={own.bindOperationsHint}
            options={known.data.persistedOperations.map(({ id, name: text }) => [id, text])}
            chosen={operations}
            onChoose={setOperations}
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
