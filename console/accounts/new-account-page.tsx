/** The form of a new account, with its first password. */
import { useState } from 'preact/hooks';
import { faultsAt } from '../api/fault.ts';
import { useChange } from '../api/use-query.ts';
import { CreateAccountDocument, type Role } from '../generated/operations.ts';
import type { TargetedSubmitEvent } from '../navigation/events.ts';
import { accountPath } from '../navigation/paths.ts';
import { Link } from '../navigation/router.tsx';
import { FaultNotice, Page } from '../parts/parts.tsx';
import { Select } from '../parts/select.tsx';
import { TextField } from '../parts/text-field.tsx';
import { useAdministrationWords } from '../words/use-administration-words.ts';
import { ROLES } from './accounts-page.tsx';

/** The fewest characters of a password that the control plane accepts. */
export const MIN_PASSWORD = 12;

export function NewAccountPage() {
  const { words, own } = useAdministrationWords();
  const [email, setEmail] = useState('');
  const [name, setName] = useState('');
  const [role, setRole] = useState<Role>('READ');
  const [department, setDepartment] = useState('');
  const [password, setPassword] = useState('');
  const [tried, setTried] = useState(false);
  const [made, setMade] = useState<{ readonly id: string; readonly name: string } | null>(null);
  const [create, { sending, fault }] = useChange(CreateAccountDocument, ({ createUser }) => {
    setMade(createUser);
    setPassword('');
  });
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
      <form class="form" onSubmit={submit}>
        <TextField
          label={words.email}
          hint={own.emailHint}
          type="email"
          value={email}
          onType={setEmail}
          required
          maxLength={255}
          wrong={wrongEmail}
        />
        <TextField label={words.fields.name} value={name} onType={setName} required maxLength={100} wrong={wrongName} />
        <Select
          label={own.role}
          value={role}
          options={ROLES.map((one) => [one, words.roles[one]])}
          onChoose={(next) => next !== null && setRole(next)}
        />
        <p class="quiet">{own.roleEffects[role]}</p>
        <TextField
          label={words.fields.department}
          hint={own.departmentHint}
          value={department}
          onType={setDepartment}
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
