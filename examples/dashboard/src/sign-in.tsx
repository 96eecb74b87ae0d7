/** The form that signs in, which knows no client. */
import { useState } from 'react';
import { sentenceFor } from './refusals.ts';

interface SignInProps {
  /** Signs in; gives a sentence where it is refused, and otherwise an empty one. */
  readonly signIn: (email: string, password: string) => Promise<string>;
}

export function SignIn({ signIn }: SignInProps) {
  const [email, setEmail] = useState('');
  const [password, setPassword] = useState('');
  const [fault, setFault] = useState('');
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        signIn(email, password).then(setFault, () => setFault(sentenceFor([])));
      }}
    >
      <label>
        E-mail{' '}
        <input type="email" autoComplete="username" value={email} onChange={({ target }) => setEmail(target.value)} />
      </label>
      <label>
        Password{' '}
        <input
          type="password"
          autoComplete="current-password"
          value={password}
          onChange={({ target }) => setPassword(target.value)}
        />
      </label>
      <button type="submit">Sign in</button>
      <p role="alert">{fault}</p>
    </form>
  );
}
