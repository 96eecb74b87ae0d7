/** The form of a new account, with its first password. */
import { useState } from 'preact/hooks';
import { faultsAt } from '../../api/fault.ts';
import { useChange } from '../../api/use-query.ts';
import { EditedNotices, useNewForm } from '../../changes/edited-form.tsx';
import type { Edited } from '../../changes/edited-state.ts';
import { CreateAccountDocument } from '../../generated/operations.ts';
import type { TargetedSubmitEvent } from '../../navigation/events.ts';
import { accountPath } from '../../navigation/paths.ts';
import { Link } from '../../navigation/router.tsx';
import { keptForms } from '../../parts/kept-forms.ts';
import { FaultNotice, Page } from '../../parts/parts.tsx';
import { TextField } from '../../parts/text-field.tsx';
import { useAdministrationWords } from '../../words/use-administration-words.ts';
import { RoleField } from '../role-field.tsx';
import type { NewAccountDraft } from './account-draft.ts';
import { ROLES } from './accounts-page.tsx';

/** The fewest characters of a password that the control plane accepts. */
export const MIN_PASSWORD = 12;

/** The forms of new accounts that were left. The first password is in none of them. */
const leftForms = keptForms<Edited<null, NewAccountDraft>>();
const fresh = (): NewAccountDraft => ({ email: '', name: '', role: 'READ', department: '' });

/** The page of the form. The password is typed again where the form was left. */
export function NewAccountPage() {
  const { words, own } = useAdministrationWords();
  const [password, setPassword] = useState('');
  const [tried, setTried] = useState(false);
  const [made, setMade] = useState<{ readonly id: string; readonly name: string } | null>(null);
  const [create, change] = useChange(CreateAccountDocument, ({ createUser }) => {
    setMade(createUser);
    setPassword('');
  });
  const { sending, fault } = change;
  const edited = useNewForm({ leftForms, fresh, change, isDone: made !== null });
  const { email, name, role, department } = edited.draft;
  const choose = (next: Partial<NewAccountDraft>) => edited.choose({ ...edited.draft, ...next });
  const [wrongEmail, wrongName, wrongDepartment, wrongPassword] = faultsAt(
    fault,
    'input.email',
    'input.name',
    'input.department',
    'input.password',
  );
  const isShort = password.length < MIN_PASSWORD;
  const submit = (event: TargetedSubmitEvent) => {
    event.preventDefault();
    setTried(true);
    if (isShort) {
      event.currentTarget.querySelector<HTMLElement>('input[type=password]')?.focus();
      return;
    }
    create({
      input: {
        email: email.trim(),
        name: name.trim(),
        role,
        password,
        ...(department.trim() !== '' && { department: department.trim() }),
      },
    });
  };
  if (made !== null)
    return (
      <Page title={own.newAccount}>
        <p class="notice" role="status">
          {own.accountCreated(made.name)}
        </p>
        <p class="buttons">
          <Link to={accountPath(made.id)} class="button">
            {made.name}
          </Link>
          <Link to="/accounts" class="button">
            {own.toAccounts}
          </Link>
        </p>
      </Page>
    );
  return (
    <Page title={own.newAccount}>
      <EditedNotices form={edited} />
      <form class="form" onSubmit={submit}>
        <TextField
          label={words.email}
          hint={own.emailHint}
          type="email"
          value={email}
          onType={(next) => choose({ email: next })}
          required
          maxLength={255}
          wrong={wrongEmail}
        />
        <TextField
          label={words.fields.name}
          value={name}
          onType={(next) => choose({ name: next })}
          required
          maxLength={100}
          wrong={wrongName}
        />
        <RoleField roles={ROLES} role={role} onChoose={(next) => choose({ role: next })} />
        <TextField
          label={words.fields.department}
          hint={own.departmentHint}
          value={department}
          onType={(next) => choose({ department: next })}
          maxLength={100}
          wrong={wrongDepartment}
        />
        <TextField
          label={own.firstPassword}
          hint={own.passwordHint}
          type="password"
          autocomplete="new-password"
          value={password}
          onType={setPassword}
          required
          maxLength={1_000}
          wrong={tried && isShort ? own.passwordTooShort : wrongPassword}
        />
        {fault !== null && <FaultNotice fault={fault} />}
        <button type="submit" class="button button-main" disabled={sending}>
          {own.createAccount}
        </button>
      </form>
    </Page>
  );
}
