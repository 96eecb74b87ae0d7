/**
 * The way to the control plane: straight or through an HTTP proxy (CONNECT, RFC 9110 section 9.3.6), and with TLS whose
 * certificate is always checked. What it costs is a few kilobytes; a library of agents for each case costs megabytes.
 */
import { once } from 'node:events';
import { request, type ClientRequestArgs, type IncomingMessage } from 'node:http';
import { connect as connectTcp, isIP, type Socket } from 'node:net';
import { connect as connectTls, createSecureContext, type SecureContext } from 'node:tls';
import { errorCode } from '../../core/caught-error.ts';

export interface RouteOptions {
  /** Certificates (PEM) of the only authorities to trust; null: those that Node.js brings along. */
  readonly ca: string | null;
  /** `http://[user:password@]host:port` of a proxy, a secret because of its password; null: none. */
  readonly proxy: string | null;
}

/** How `node:http` and `ws` ask for a connection. */
export type CreateConnection = NonNullable<ClientRequestArgs['createConnection']>;

export class Route {
  readonly #proxy: URL | null;
  readonly #ca: string | null;
  /** Made once: each would parse the certificates anew. */
  #secureContext: SecureContext | undefined;

  constructor({ ca, proxy }: RouteOptions) {
    this.#ca = ca;
    this.#proxy = proxy === null ? null : new URL(proxy);
  }

  /** `createConnection` for a request that ends with `signal`. */
  connection(secure: boolean, signal: AbortSignal): CreateConnection {
    return ({ host, port }, created) => {
      this.connect(host ?? 'localhost', Number(port), secure, signal).then(
        (socket) => created(null, socket),
        // eslint-disable-next-line @typescript-eslint/consistent-type-assertions -- with an error there is no socket, which the type does not know
        (error: Error) => (created as (error: Error) => void)(error),
      );
      return undefined;
    };
  }

  /**
   * Resolves to a socket on which `host` itself is spoken to. Rejects with an Error that says which part of the way
   * failed: host or proxy not reached, the proxy's refusal, a certificate that is not trusted.
   *
   * @param host name or address, IPv6 without brackets
   */
  async connect(host: string, port: number, secure: boolean, signal: AbortSignal): Promise<Socket> {
    const socket =
      this.#proxy === null
        ? await connected(connectTcp({ host, port }), signal)
        : await this.#tunnel(this.#proxy, host, port, signal);
    return secure ? this.#encrypt(socket, host, port, signal) : socket;
  }

  async #tunnel(proxy: URL, host: string, port: number, signal: AbortSignal): Promise<Socket> {
    const target = `${isIP(host) === 6 ? `[${host}]` : host}:${port}`;
    const asked = request({
      // A URL keeps the brackets of an IPv6 address.
      host: proxy.hostname.replace(/^\[(.*)\]$/, '$1'),
      port: proxy.port || 80,
      method: 'CONNECT',
      path: target,
      headers: { host: target, ...credentialsOf(proxy) },
      // None: what it keeps alive would keep a stopping process alive.
      agent: false,
      signal,
    }).end();
    let answer: IncomingMessage;
    let socket: Socket;
    let head: Buffer;
    try {
      [answer, socket, head] = await new Promise<[IncomingMessage, Socket, Buffer]>((resolve, reject) =>
        asked.once('connect', (...answered) => resolve(answered)).once('error', reject),
      );
    } catch (error) {
      throw new Error(`the proxy ${proxy.host} cannot be used`, { cause: error });
    }
    if (answer.statusCode !== 200) {
      socket.destroy();
      throw new Error(
        `the proxy ${proxy.host} refuses ${target}: ${answer.statusCode} ${answer.statusMessage ?? ''}`.trim(),
      );
    }
    if (head.length > 0) socket.unshift(head);
    return socket;
  }

  async #encrypt(below: Socket, host: string, port: number, signal: AbortSignal): Promise<Socket> {
    this.#secureContext ??= createSecureContext({ minVersion: 'TLSv1.2', ...(this.#ca !== null && { ca: this.#ca }) });
    const socket = connectTls({
      socket: below,
      host,
      // Names only, by RFC 6066 section 3.
      servername: isIP(host) === 0 ? host : '',
      secureContext: this.#secureContext,
      // Said, since NODE_TLS_REJECT_UNAUTHORIZED in the environment would turn it off otherwise.
      rejectUnauthorized: true,
    });
    try {
      return await connected(socket, signal, 'secureConnect');
    } catch (error) {
      // The socket itself only knows of chains, and not of names: those are in the error's code.
      const certificate = Boolean(socket.authorizationError) || errorCode(error) === 'ERR_TLS_CERT_ALTNAME_INVALID';
      throw new Error(
        certificate ? `the certificate of ${host}:${port} is not trusted` : `no TLS with ${host}:${port}`,
        { cause: error },
      );
    }
  }
}

/** The socket once it is up. Rejects with why it is not, and destroys it. */
async function connected<T extends Socket>(socket: T, signal: AbortSignal, event = 'connect'): Promise<T> {
  try {
    await once(socket, event, { signal });
    return socket;
  } catch (error) {
    socket.on('error', () => undefined).destroy();
    throw error;
  }
}

function credentialsOf({ username, password }: URL): { 'proxy-authorization'?: string } {
  if (username === '') return {};
  const pair = `${decodeURIComponent(username)}:${decodeURIComponent(password)}`;
  return { 'proxy-authorization': `Basic ${Buffer.from(pair).toString('base64')}` };
}
