/**
 * Runs in the playground's page: a bar to sign in with, and the session's token added to every request and to each
 * websocket's connection_init. page.ts inlines it. It is plain JavaScript, because no build step comes between this file
 * and the browser.
 */
window.fleetflag = (() => {
  const KEY = 'fleetflag:session';
  const ENDPOINT = '/graphql';
  const plainFetch = window.fetch.bind(window);
  /** The session as {token, email, role}; it is kept in this browser tab only, until the tab closes. */
  let session = JSON.parse(sessionStorage.getItem(KEY) ?? 'null');
  /** The authorization that was typed into the Headers tab; it takes precedence over the session. */
  let typed = null;

  const authorization = () => typed ?? (session === null ? null : `Bearer ${session.token}`);

  window.fetch = (input, init = {}) => {
    const { pathname, origin } = new URL(input instanceof Request ? input.url : String(input), location.href);
    if (origin !== location.origin || pathname !== ENDPOINT) return plainFetch(input, init);
    const headers = new Headers(init.headers);
    typed = headers.get('authorization');
    const value = authorization();
    if (value !== null) headers.set('authorization', value);
    return plainFetch(input, { ...init, headers });
  };

  async function ask(query, variables, token) {
    const response = await plainFetch(ENDPOINT, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...(token && { authorization: `Bearer ${token}` }) },
      body: JSON.stringify({ query, variables }),
    });
    const { data, errors } = await response.json();
    if (errors) throw new Error(errors[0].message);
    return data;
  }

  function keep(next) {
    session = next;
    if (next === null) sessionStorage.removeItem(KEY);
    else sessionStorage.setItem(KEY, JSON.stringify(next));
    show();
  }

  const element = (id) => document.getElementById(id);

  function show() {
    element('fleetflag-out').hidden = session !== null;
    element('fleetflag-in').hidden = session === null;
    element('fleetflag-who').textContent = session === null ? '' : `${session.email} · ${session.role}`;
    element('fleetflag-message').textContent = '';
  }

  async function signIn(event) {
    event.preventDefault();
    const email = element('fleetflag-email').value;
    const password = element('fleetflag-password').value;
    try {
      const { login } = await ask(
        'mutation ($email: String!, $password: String!) { login(email: $email, password: $password) { token user { email role } } }',
        { email, password },
      );
      element('fleetflag-password').value = '';
      keep({ token: login.token, ...login.user });
    } catch (error) {
      element('fleetflag-message').textContent = error.message;
    }
  }

  window.addEventListener('DOMContentLoaded', () => {
    element('fleetflag-out').addEventListener('submit', signIn);
    element('fleetflag-leave').addEventListener('click', () => keep(null));
    show();
    // A session that has ended meanwhile must not be shown as active.
    if (session !== null) ask('{ me { kind } }', {}, session.token).catch(() => keep(null));
  });

  return { connectionParams: () => (authorization() === null ? {} : { authorization: authorization() }) };
})();
