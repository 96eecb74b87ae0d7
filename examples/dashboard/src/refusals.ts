/** Sentences about refusals, by the code of the catalogue (docs/reference/errors.md) and never by the message. */
import { keepToken, token } from './session.ts';

interface Refusal {
  readonly message: string;
  readonly extensions?: Readonly<Record<string, unknown>> | undefined;
}

/** Gives a sentence for people. Forgets a session that has ended, so that the page asks for the password. */
export function sentenceFor([refusal]: readonly Refusal[]): string {
  if (refusal === undefined) return 'The control plane does not answer.';
  switch (refusal.extensions?.['code']) {
    case 'UNAUTHENTICATED':
      if (token() === null) return 'The e-mail or the password is wrong.';
      keepToken(null);
      return 'Your session has ended. Sign in again.';
    case 'CONFLICT':
      return 'Somebody else has changed this flag. You see it as it is now: decide again.';
    case 'FORBIDDEN':
      return 'You may not do this.';
    case 'RATE_LIMITED':
    case 'SERVICE_UNAVAILABLE':
      return 'The control plane is busy. Try again in a moment.';
    default:
      return refusal.message;
  }
}

/** Gives a sentence about a change that was accepted. */
export function sentenceAbout(payload: { readonly applied: boolean } | undefined): string {
  return payload?.applied === true ? 'Done.' : 'This waits for a second person.';
}
