/**
 * The overloading account of the kill-switch benchmark: `kill-switch-flood.ts URL EMAIL PASSWORD`. Keeps 120 of the
 * most expensive permitted queries running until it is ended, and prints `STARTED` when the first ones run.
 */
const [url = '', email = '', password = ''] = process.argv.slice(2);
const AT_ONCE = 120;
/** Cost 1,818: the audit log with its values, under eighteen names. */
const QUERY = `{ ${Array.from({ length: 18 }, (_, n) => `a${n}: auditLogs(first: 100) { nodes { beforeValue afterValue } }`).join(' ')} }`;

async function post(body: object, token?: string): Promise<{ status: number; data?: { login?: { token: string } } }> {
  const response = await fetch(`${url}/graphql`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...(token !== undefined && { authorization: `Bearer ${token}` }) },
    body: JSON.stringify(body),
  });
  const text = await response.text();
  return { status: response.status, ...(token === undefined ? (JSON.parse(text) as object) : {}) };
}

const { data } = await post({
  query: 'mutation ($email: String!, $password: String!) { login(email: $email, password: $password) { token } }',
  variables: { email, password },
});
const token = data?.login?.token ?? '';
console.log('STARTED');
async function again(): Promise<never> {
  for (;;) {
    // Sends the next query at once, even to a server that restarts or refuses.
    await post({ query: QUERY }, token).catch(() => undefined);
  }
}
await Promise.all(Array.from({ length: AT_ONCE }, again));
