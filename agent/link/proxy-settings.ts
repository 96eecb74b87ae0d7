/**
 * Finds the proxy that the settings name, by the rules of curl and Go. No message contains a proxy's address, because
 * there may be a password in it.
 */
import { isLoopback } from '../../core/wire/network/loopback.ts';

/**
 * Says what is wrong with the address of a proxy, as the rest of a sentence that begins with the name of the setting;
 * null for a valid address.
 */
export function proxyFault(proxy: string): string | null {
  if (!URL.canParse(proxy) || !/^http:\/\/./i.test(proxy)) return 'must be http://[user:password@]host:port';
  const { username, password, port, pathname, search, hash } = new URL(proxy);
  if (pathname !== '/' || search !== '' || hash !== '')
    return 'must be http://[user:password@]host:port, with nothing behind the port';
  if (port === '0') return 'must not have port 0';
  try {
    decodeURIComponent(password);
    // The first colon of the credentials ends the user (RFC 7617, 2).
    return decodeURIComponent(username).includes(':') ? 'has a user with ":", which no proxy can read' : null;
  } catch {
    return 'has a user or password whose "%" is not written as "%25"';
  }
}

/**
 * Gives the proxy that the environment variables name for `url`: HTTPS_PROXY for `wss:` and HTTP_PROXY for `ws:`,
 * unless NO_PROXY names the host. Null for none, and for a loopback host, which no proxy can reach.
 *
 * @param url the address of a websocket
 */
export function environmentProxy(url: string, environment: NodeJS.ProcessEnv): string | null {
  // The lower-case name wins, as in curl.
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

/** Says whether an entry of NO_PROXY covers a host: `*`, or the host or its parent domain, with an optional port. */
function isException(exception: string, host: string, port: string): boolean {
  if (exception === '*' || exception === host) return true;
  const [, name = '', onlyPort] = /^(?:\*?\.)?(\[[^\]]+\]|[^:]+)(?::(\d+))?$/.exec(exception) ?? [];
  if (name === '' || (onlyPort !== undefined && onlyPort !== port)) return false;
  const bare = name.replace(/^\[(.*)\]$/, '$1');
  return host === bare || host.endsWith(`.${bare}`);
}
