/** Signing in: as a page of its own, and in place where a session has ended below somebody's hands. */
import { useState } from 'preact/hooks';
import type { TargetedSubmitEvent } from '../navigation/events.ts';
import { SignInDocument } from '../generated/operations.ts';
import { useChange } from '../api/use-query.ts';
import { Dialog } from '../parts/dialog.tsx';
import { FaultNotice, useTitle } from '../parts/parts.tsx';
import { TextField } from '../parts/text-field.tsx';
import { LanguageChoice } from '../words/language-choice.tsx';
import { useWords } from '../words/language.ts';
import { beginSession, forgetSession, type Session } from './session.ts';

function SignInForm({ email: known }: { readonly email: string | null }) {
  const { words } = useWords();
  const [email, setEmail] = useState(known ?? '');
  const [password, setPassword] = useState('');
  const [signIn, { sending, fault }] = useChange(SignInDocument, ({ login: { token, user } }) => {
    beginSession({ token, email: user.email, name: user.name, role: user.role, userId: user.id, permissions: null });
  });
  const submit = (event: TargetedSubmitEvent) => {
    event.preventDefault();
    signIn({ email, password });
  };
  return (
    <form class="form" onSubmit={submit}>
      <TextField
        label={words.email}
        type="email"
        autocomplete="username"
        required
        autoFocus={known === null}
        value={email}
        onType={setEmail}
      />
      <TextField
        label={words.password}
        type="password"
        autocomplete="current-password"
        required
        autoFocus={known !== null}
        value={password}
        onType={setPassword}
      />
      {fault !== null &&
        (fault.code === 'UNAUTHENTICATED' ? (
          <div class="notice notice-fault" role="alert">
            <p>{words.wrongPassword}</p>
          </div>
        ) : (
          <FaultNotice fault={fault} />
        ))}
      <button type="submit" class="button button-main" disabled={sending}>
        {words.signIn}
      </button>
    </form>
  );
}

/** The page for somebody who has no session. */
export function SignInPage() {
  const { words } = useWords();
  useTitle(words.signIn);
  return (
    <main class="sign-in">
      <div class="sign-in-box">
        <h1>{words.product}</h1>
        <p class="quiet">{words.signInLead}</p>
        <SignInForm email={null} />
        <LanguageChoice />
      </div>
    </main>
  );
}

/** Asks to sign in again, over the page with everything that was typed there. */
export function SignInAgain({ session }: { readonly session: Session }) {
  const { words } = useWords();
  return (
    <Dialog title={words.sessionEnded}>
      <p>{words.sessionEndedLead}</p>
      <SignInForm email={session.email} />
      <button type="button" class="button button-plain" onClick={forgetSession}>
        {words.signOutInstead}
      </button>
    </Dialog>
  );
}
