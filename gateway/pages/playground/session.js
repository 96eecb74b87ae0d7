/**
 * The session of the person at the playground, and the bar to sign in with. It is kept in this browser tab only, until
 * the tab closes.
 */
import { ask } from './request.js';

const KEY = 'fleetflag:session';
const LOGIN =
  'mutation ($email: String!, $password: String!) { login(email: $email, password: $password) { token user { email role } } }';

const element = (id) => document.getElementById(id);

/** The session as {token, email, role}; null without one. */
let session = JSON.parse(sessionStorage.getItem(KEY) ?? 'null');

/** Gives the headers of a request or of connection_init: those that were typed win over the session. */
export function credentials(typed = {}) {
  const names = Object.keys(typed).map((name) => name.toLowerCase());
  const isTyped = names.includes('authorization') || names.includes('x-api-key');
  return isTyped || session === null ? { ...typed } : { authorization: `Bearer ${session.token}`, ...typed };
}

function say(message) {
  element('message').textContent = message;
}

function keep(next, message = '') {
  session = next;
  if (next === null) sessionStorage.removeItem(KEY);
  else sessionStorage.setItem(KEY, JSON.stringify(next));
  element('signed-out').hidden = session !== null;
  element('signed-in').hidden = session === null;
  element('who').textContent = session === null ? '' : `${session.email} · ${session.role}`;
  say(message);
}

/** Forgets a session that the gateway refuses, so that it is not shown as active. */
export function noteAnswer(result, typed = {}) {
  const isRefused = result.errors?.some(({ extensions }) => extensions?.code === 'UNAUTHENTICATED') ?? false;
  if (isRefused && session !== null && credentials(typed).authorization === `Bearer ${session.token}`)
    keep(null, 'Your session has ended. Sign in again; what you have typed stays.');
}

async function signIn(event) {
  event.preventDefault();
  const [email, password] = ['email', 'password'].map((id) => element(id).value);
  say('');
  const { data, errors } = await ask({ query: LOGIN, variables: { email, password } });
  if (data?.login == null) return say(errors?.[0]?.message ?? 'The answer has no session.');
  element('password').value = '';
  keep({ token: data.login.token, ...data.login.user });
}

async function signOut() {
  const { token } = session;
  keep(null);
  await ask({ query: 'mutation { logout }' }, { authorization: `Bearer ${token}` });
}

/** Shows the bar. A session that has ended meanwhile is not shown as active. */
export async function startBar() {
  element('signed-out').addEventListener('submit', signIn);
  element('sign-out').addEventListener('click', signOut);
  keep(session);
  if (session !== null) noteAnswer(await ask({ query: '{ me { kind } }' }, credentials()));
}
