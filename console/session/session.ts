/**
 * The session of this browser tab. It is kept in the tab's storage, which the playground reads, too, and which is gone
 * when the tab is closed.
 */
import { createStore } from '../store.ts';
import { isMembers, stringsOf } from '../json.ts';
import type { Role } from '../generated/operations.ts';

const KEY = 'fleetflag:session';
const ROLES: readonly Role[] = ['ADMIN', 'WRITE', 'READ', 'SAFETY'];

/** The signed-in account and its token. */
export interface Session {
  readonly token: string;
  readonly email: string;
  readonly name: string;
  readonly role: Role;
  /** The id of the account. The page needs it because nobody may approve a change that they have requested. */
  readonly userId: string;
  /** The operations that the account may call, such as `Mutation.killSwitch`; null: not yet known. */
  readonly permissions: readonly string[] | null;
}

/**
 * `ended`: the session has expired or was revoked. The pages stay as they are, with what was typed, until the same
 * person has signed in again.
 */
export interface SessionState {
  readonly session: Session | null;
  readonly ended: boolean;
  /** A new session is being begun in place of this one, so nobody needs to sign in. */
  readonly renewing?: boolean;
}

function readStored(): Session | null {
  try {
    const stored: unknown = JSON.parse(sessionStorage.getItem(KEY) ?? 'null');
    if (!isMembers(stored)) return null;
    const { token, email, name, role, userId, permissions } = stored;
    const known = ROLES.find((one) => one === role);
    if (typeof token !== 'string' || typeof email !== 'string' || known === undefined) return null;
    if (typeof name !== 'string' || typeof userId !== 'string') return null;
    const allowed = Array.isArray(permissions) ? stringsOf(permissions) : null;
    return { token, email, name, role: known, userId, permissions: allowed };
  } catch {
    return null;
  }
}

export const sessionState = createStore<SessionState>({ session: readStored(), ended: false });

/** Begins a session. Another person than before gets fresh pages. */
export function beginSession(session: Session): void {
  const before = sessionState.get().session;
  sessionStorage.setItem(KEY, JSON.stringify(session));
  sessionState.set({ session, ended: false });
  if (before !== null && before.userId !== session.userId) location.reload();
}

/**
 * Puts the session aside, as one that the control plane has ended, while `begin` begins a new one of the same person.
 * Where it gives none, the person is asked to sign in.
 */
export async function renewSession(begin: () => Promise<Session | null>): Promise<void> {
  const { session } = sessionState.get();
  sessionState.set({ session, ended: true, renewing: true });
  const next = await begin();
  if (next === null) sessionState.set({ session, ended: true });
  else beginSession(next);
}

/** Forgets the session, after signing out. */
export function forgetSession(): void {
  sessionStorage.removeItem(KEY);
  sessionState.set({ session: null, ended: false });
}

/** Notes that the control plane no longer accepts the session. */
export function noteEnd(token: string | null): void {
  const { session, ended } = sessionState.get();
  // A late answer to the former session says nothing about this one.
  if (session === null || ended || session.token !== token) return;
  sessionStorage.removeItem(KEY);
  sessionState.set({ session, ended: true });
}

/** Gives the token that requests carry; null for nobody, and for a session that has ended. */
export function currentToken(): string | null {
  const { session, ended } = sessionState.get();
  return ended ? null : (session?.token ?? null);
}

/** Notes what the account may do, as the control plane has said for a session's token. */
export function notePermissions(token: string, permissions: readonly string[]): void {
  const { session, ended } = sessionState.get();
  if (session?.token !== token || ended) return;
  const known = { ...session, permissions };
  sessionStorage.setItem(KEY, JSON.stringify(known));
  sessionState.set({ session: known, ended });
}

/** The acts that the pages offer, each with its operation. */
const OPERATIONS = {
  stop: 'Mutation.killSwitch',
  change: 'Mutation.updateFlag',
  review: 'Mutation.approveChangeRequest',
  checkChain: 'Query.auditIntegrity',
  administer: 'Query.users',
  setPolicy: 'Mutation.setReleasePolicy',
  halt: 'Mutation.haltRelease',
  guard: 'Mutation.addReleaseGuards',
  promote: 'Mutation.promoteRelease',
} as const satisfies Record<string, `${'Query' | 'Mutation'}.${string}`>;

export type Act = keyof typeof OPERATIONS;

/**
 * Whether the account may do it, as the control plane says. Where it has not said anything yet, or cannot, everything
 * is offered: the control plane decides when it is done, and a stop must not wait for a list.
 */
export function may(session: Session | null, act: Act): boolean {
  return session !== null && (session.permissions === null || session.permissions.includes(OPERATIONS[act]));
}

/** Says why the account may not do it; null where it may. */
export function mayNot(
  session: Session | null,
  act: Act,
  { forms }: { readonly forms: { readonly mayNot: Readonly<Record<Act, string>> } },
): string | null {
  return may(session, act) ? null : forms.mayNot[act];
}
