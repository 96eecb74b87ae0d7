/**
 * The account that does its worst, of the kill-switch benchmark: `kill-switch-flood.ts URL EMAIL PASSWORD`. It keeps
 * 120 of the dearest queries that are allowed under way until it is ended, and prints `STARTED` when the first are.
 */
const [url = '', email = '', password = ''] = process.argv.slice(2);
const AT_ONCE = 120;
/** Cost 1,818: the trail with its values, under eighteen names. */
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
    // A restarting or refusing server is asked again at once: it does its worst.
    await post({ query: QUERY }, token).catch(() => undefined);
  }
}
await Promise.all(Array.from({ length: AT_ONCE }, again));
