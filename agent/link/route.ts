/**
 * The route to the control plane: direct or through an HTTP proxy (CONNECT, RFC 9110 section 9.3.6), with TLS whose
 * certificate is always checked. This code costs a few kilobytes of memory; the libraries for it cost megabytes.
 */
import { once } from 'node:events';
import { request, type ClientRequestArgs, type IncomingMessage } from 'node:http';
import { connect as connectTcp, isIP, type Socket } from 'node:net';
import { connect as connectTls, createSecureContext, type SecureContext } from 'node:tls';
import { errorCode } from '../../core/caught-error.ts';

/** The options of a route. */
export interface RouteOptions {
  /** The certificates (PEM) of the only authorities to trust; null for those that Node.js trusts. */
  readonly ca: string | null;
  /** The proxy as `http://[user:password@]host:port`; null for none. It may contain a password, so it is a secret. */
  readonly proxy: string | null;
}

/** The function by which `node:http` and `ws` open a connection. */
export type CreateConnection = NonNullable<ClientRequestArgs['createConnection']>;

/** Opens sockets to the control plane. */
export class Route {
  readonly #proxy: URL | null;
  readonly #ca: string | null;
  /** The TLS context. It is made once, because making it parses all certificates. */
  #secureContext: SecureContext | undefined;

  constructor({ ca, proxy }: RouteOptions) {
    this.#ca = ca;
    this.#proxy = proxy === null ? null : new URL(proxy);
  }

  /** Gives the `createConnection` of a request that `signal` aborts. */
  connection(secure: boolean, signal: AbortSignal): CreateConnection {
    return ({ host, port }, created) => {
      this.connect(host ?? 'localhost', Number(port), secure, signal).then(
        (socket) => created(null, socket),
        // oxlint-disable-next-line typescript/consistent-type-assertions -- with an error there is no socket, which the type does not know
        (error: Error) => (created as (error: Error) => void)(error),
      );
      return undefined;
    };
  }

  /**
   * Opens a socket to `host`. Rejects with an Error that says which part of the route failed: the host or the proxy was
   * not reached, the proxy refused, or a certificate is not trusted.
   *
   * @param host a name or an address; an IPv6 address has no brackets
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
      // An HTTP agent would keep connections, and with them a stopping process, alive.
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
      throw new Error(`cannot connect through the proxy ${proxy.host}`, { cause: error });
    }
    if (answer.statusCode !== 200) {
      socket.destroy();
      throw new Error(
        `the proxy ${proxy.host} refused to connect to ${target}: ${answer.statusCode} ${answer.statusMessage ?? ''}`.trim(),
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
      // RFC 6066 section 3 allows only names here, not addresses.
      servername: isIP(host) === 0 ? host : '',
      secureContext: this.#secureContext,
      // This is explicit, because NODE_TLS_REJECT_UNAUTHORIZED in the environment could turn the check off otherwise.
      rejectUnauthorized: true,
    });
    try {
      return await connected(socket, signal, 'secureConnect');
    } catch (error) {
      // `authorizationError` is only about the chain; a wrong name shows in the code of the error.
      const certificate = Boolean(socket.authorizationError) || errorCode(error) === 'ERR_TLS_CERT_ALTNAME_INVALID';
      throw new Error(
        certificate
          ? `the certificate of ${host}:${port} is not trusted`
          : `the TLS handshake with ${host}:${port} failed`,
        { cause: error },
      );
    }
  }
}

/** Resolves to the socket when it is connected. Otherwise destroys it and rejects with the reason. */
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
