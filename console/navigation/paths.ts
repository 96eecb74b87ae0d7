/** Addresses within the console, as texts: read, and made. */

/** Gives the path of a flag's page, or of one below it. */
export const flagPath = (key: string, below = '') => `/flags/${encodeURIComponent(key)}${below}`;

/** Gives the path of the rollout of a flag's rule, or of one below it. */
export const rolloutPath = (key: string, ruleId: string, below = '') =>
  flagPath(key, `/rollouts/${encodeURIComponent(ruleId)}${below}`);

/** Gives the path of an experiment's page, or of one below it. */
export const experimentPath = (id: string, below = '') => `/experiments/${encodeURIComponent(id)}${below}`;

/** Gives the key of the flag whose page, or a page below it, is at `path`; null elsewhere. */
export function flagKeyIn(path: string): string | null {
  const [, room, key] = path.split('/');
  return room === 'flags' && key !== undefined && key !== '' ? decoded(key) : null;
}

/** Gives the path of a segment's page. */
export const segmentPath = (key: string) => `/segments/${encodeURIComponent(key)}`;

/** Gives the path of the form of an environment's release policy. */
export const policyPath = (environment: string) => `/policies/${environment.toLowerCase()}`;

/** Gives the path of a vehicle's page. */
export const vehiclePath = (vin: string) => `/fleet/${encodeURIComponent(vin)}`;

/** Gives the path of an account's page. */
export const accountPath = (id: string) => `/accounts/${encodeURIComponent(id)}`;

/** Gives the path of an API key's page. */
export const keyPath = (id: string) => `/keys/${encodeURIComponent(id)}`;

/** Gives the path of a webhook's page. */
export const webhookPath = (id: string) => `/webhooks/${encodeURIComponent(id)}`;

/** Gives the path of the list of operations with one of them. */
export const operationPath = (id: string) => withQuery('/operations', { id });

/** Gives the parts of `path` that stand at the names of `pattern` (`/flags/:key`); null where it does not fit. */
export function matchPath(pattern: string, path: string): Readonly<Record<string, string>> | null {
  const [wanted, given] = [pattern.split('/'), path.split('/')];
  if (wanted.length !== given.length) return null;
  const parts: Record<string, string> = {};
  for (const [index, name] of wanted.entries()) {
    const part = given[index] ?? '';
    if (name.startsWith(':')) parts[name.slice(1)] = decoded(part);
    else if (name !== part) return null;
  }
  return parts;
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

/** Gives a path with the members of a query that are not empty. */
export function withQuery(path: string, members: Readonly<Record<string, string | null>>): string {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(members)) if (value !== null && value !== '') query.set(name, value);
  const text = query.toString();
  return text === '' ? path : `${path}?${text}`;
}
