/**
 * Which proxy the settings mean, as curl and Go read them. Nothing here says what is in one: it may hold a password.
 */
import { isLoopback } from '../../core/wire/loopback.ts';

/**
 * What is wrong with the address of a proxy, to follow on the name of the setting; null where nothing is.
 */
export function proxyFault(proxy: string): string | null {
  if (!URL.canParse(proxy) || !/^http:\/\/./i.test(proxy)) return 'must be http://[user:password@]host:port';
  const { username, password, pathname, search, hash } = new URL(proxy);
  if (pathname !== '/' || search !== '' || hash !== '')
    return 'must be http://[user:password@]host:port, with nothing behind the port';
  try {
    decodeURIComponent(username + password);
    return null;
  } catch {
    return 'has a user or password whose "%" is not written as "%25"';
  }
}

/**
 * The proxy that the environment names for `url`: HTTPS_PROXY for `wss:`, HTTP_PROXY for `ws:`, unless
 * NO_PROXY names the host. Null for none, and for a host of this machine, which no proxy reaches.
 *
 * @param url of a websocket
 */
export function environmentProxy(url: string, environment: NodeJS.ProcessEnv): string | null {
  // The small spelling wins, as in curl.
  const variable = (name: string) => environment[name.toLowerCase()] || environment[name] || '';
  const { protocol, hostname, port } = new URL(url);
  const proxy = variable(protocol === 'wss:' ? 'HTTPS_PROXY' : 'HTTP_PROXY');
  const host = hostname.replace(/^\[(.*)\]$/, '$1').toLowerCase();
  if (proxy === '' || isLoopback(host)) return null;
  const exceptions = variable('NO_PROXY')
    .toLowerCase()
    .split(/[\s,]+/);
  if (exceptions.some((exception) => isException(exception, host, port || (protocol === 'wss:' ? '443' : '80'))))
    return null;
  return proxy.includes('://') ? proxy : `http://${proxy}`;
}

/** `*`, or a host with everything below it, with or without a dot before it and a port behind it. */
function isException(exception: string, host: string, port: string): boolean {
  if (exception === '*' || exception === host) return true;
  const [, name = '', onlyPort] = /^(?:\*?\.)?(\[[^\]]+\]|[^:]+)(?::(\d+))?$/.exec(exception) ?? [];
  if (name === '' || (onlyPort !== undefined && onlyPort !== port)) return false;
  const bare = name.replace(/^\[(.*)\]$/, '$1');
  return host === bare || host.endsWith(`.${bare}`);
}
