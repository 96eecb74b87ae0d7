/** Asks the control plane what the signed-in account may do, once for each session and at each load of the page. */
import { ask } from '../api/client.ts';
import { PermissionsDocument } from '../generated/operations.ts';
import { currentToken, notePermissions, sessionState } from './session.ts';

/** Asks now, and whenever another account has signed in. */
export function startPermissions(): void {
  let askedFor: string | null = null;
  const apply = () => {
    const token = currentToken();
    if (token === null || token === askedFor) return;
    askedFor = token;
    ask(PermissionsDocument, {})
      .then(({ data }) => {
        if (data !== null) notePermissions(token, data.me.permissions);
        // The next page that is opened asks again.
        else askedFor = null;
      })
      .catch(reportError);
  };
  sessionState.subscribe(apply);
  apply();
}
