/** The form by which everybody changes their own password. */
import { useState } from 'preact/hooks';
import { change as send } from '../../api/client.ts';
import { useChange } from '../../api/use-query.ts';
import { ChangePasswordDocument, SignInDocument } from '../../generated/operations.ts';
import type { TargetedSubmitEvent } from '../../navigation/events.ts';
import { FaultNotice, Page } from '../../parts/parts.tsx';
import { TextField } from '../../parts/text-field.tsx';
import { renewSession, sessionState, type Session } from '../../session/session.ts';
import { useStore } from '../../store.ts';
import { useAdministrationWords } from '../../words/use-administration-words.ts';
import { MIN_PASSWORD } from './new-account-page.tsx';

async function newSession(email: string, password: string): Promise<Session | null> {
  const { data } = await send(SignInDocument, { email, password });
  if (data === null) return null;
  const { token, user } = data.login;
  return { token, email: user.email, name: user.name, role: user.role, userId: user.id, permissions: null };
}

/** The page on which everybody changes their own password. */
export function PasswordPage() {
  const { own } = useAdministrationWords();
  const { session } = useStore(sessionState);
  const [current, setCurrent] = useState('');
  const [next, setNext] = useState('');
  const [again, setAgain] = useState('');
  const [tried, setTried] = useState(false);
  const [isChanged, setChanged] = useState(false);
  const [change, { sending, fault }] = useChange(ChangePasswordDocument, () => {
    setChanged(true);
    // The change has ended this session, too. Where no new one can be begun, the frame asks to sign in.
    if (session !== null) renewSession(() => newSession(session.email, next)).catch(reportError);
    for (const clear of [setCurrent, setNext, setAgain]) clear('');
    setTried(false);
  });
  const isShort = next.length < MIN_PASSWORD;
  const isOther = again !== next;
  const isWrong = fault?.field === 'current';
  const submit = (event: TargetedSubmitEvent) => {
    event.preventDefault();
    setTried(true);
    setChanged(false);
    if (!isShort && !isOther) change({ current, new: next });
  };
  return (
    <Page title={own.ownPassword}>
      <p class="quiet">{own.ownPasswordLead}</p>
      <p class={isChanged ? 'notice' : 'hidden'} role="status">
        {isChanged && own.passwordChanged}
      </p>
      <form class="form" onSubmit={submit}>
        {/* Password managers search for the name beside the passwords. */}
        <input
          type="email"
          class="hidden"
          autocomplete="username"
          readOnly
          tabIndex={-1}
          aria-hidden="true"
          value={session?.email ?? ''}
        />
        <TextField
          label={own.presentPassword}
          type="password"
          autocomplete="current-password"
          value={current}
          onType={setCurrent}
          required
          maxLength={1_000}
          wrong={isWrong ? own.wrongPresentPassword : null}
        />
        <TextField
          label={own.newPassword}
          hint={own.passwordHint}
          type="password"
          autocomplete="new-password"
          value={next}
          onType={setNext}
          required
          maxLength={1_000}
          wrong={tried && isShort ? own.passwordTooShort : null}
        />
        <TextField
          label={own.repeatPassword}
          type="password"
          autocomplete="new-password"
          value={again}
          onType={setAgain}
          required
          maxLength={1_000}
          wrong={tried && !isShort && isOther ? own.passwordsDiffer : null}
        />
        {fault !== null && !isWrong && <FaultNotice fault={fault} />}
        <button type="submit" class="button button-main" disabled={sending}>
          {own.changePassword}
        </button>
      </form>
    </Page>
  );
}
