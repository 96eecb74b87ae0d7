/**
 * Guards the local API against requests of browsers, because any page that is open in the vehicle can reach its
 * address. Sources: https://fetch.spec.whatwg.org (CORS), https://www.w3.org/TR/fetch-metadata (Sec-Fetch-Site).
 */
import type { IncomingMessage } from 'node:http';
import { isLoopback } from '../../core/wire/network/loopback.ts';

/** The refusal of a request before it is handled. */
export interface RequestRefusal {
  readonly status: 403 | 415;
  readonly errorCode: string;
  readonly errorDetails: string;
}

/** The seconds for which a browser may cache the answer to a preflight. */
const PREFLIGHT_SECONDS = 600;

/** Decides which requests of browsers are handled. */
export class BrowserGuard {
  readonly #allowedOrigins: ReadonlySet<string>;

  /** @param allowedOrigins the origins whose pages are allowed, as browsers write them: `http://hmi.local:8080` */
  constructor(allowedOrigins: readonly string[]) {
    this.#allowedOrigins = new Set(allowedOrigins);
  }

  /**
   * Gives the refusal of a request with a foreign host name, or from a page that is not allowed; null for all others.
   * Programs send neither `Origin` nor `Sec-Fetch-Site`; a page can neither omit nor change them.
   */
  refusal(request: IncomingMessage): RequestRefusal | null {
    const { host, origin, 'sec-fetch-site': site } = request.headers;
    // A page can point a name of its own at 127.0.0.1 (DNS rebinding); its requests carry that name.
    if (isLoopback(request.socket.localAddress?.replace(/^::ffff:/, '') ?? '') && !isLoopback(hostName(host))) {
      return forbidden(
        `Call this agent by a loopback name such as localhost:7788, not as ${JSON.stringify(host ?? '')}.`,
      );
    }
    if (origin === undefined) {
      return site === 'cross-site'
        ? forbidden(
            'Pages of other sites may call this agent only with CORS (this request has Sec-Fetch-Site: cross-site and no Origin).',
          )
        : null;
    }
    return this.#allowedOrigins.has(origin)
      ? null
      : forbidden(
          `Pages of ${origin} may not call this agent; start it with --allow-origin to allow the head unit's own pages.`,
        );
  }

  /** Gives the headers that let an allowed page read the answer, and keep caches from giving it to other pages. */
  headers({ headers: { origin } }: IncomingMessage): Record<string, string> {
    if (this.#allowedOrigins.size === 0) return {};
    if (origin === undefined || !this.#allowedOrigins.has(origin)) return { vary: 'Origin' };
    return {
      vary: 'Origin',
      'access-control-allow-origin': origin,
      'access-control-expose-headers': 'ETag, Retry-After',
    };
  }

  /** Gives the other headers of a preflight's answer. The page is already allowed, so it may send any headers. */
  preflightHeaders({ headers }: IncomingMessage, methods: string): Record<string, string> {
    const requested = headers['access-control-request-headers'];
    return {
      vary: 'Origin, Access-Control-Request-Headers, Access-Control-Request-Private-Network',
      'access-control-allow-methods': methods,
      'access-control-max-age': String(PREFLIGHT_SECONDS),
      ...(requested === undefined ? {} : { 'access-control-allow-headers': String(requested) }),
      ...(headers['access-control-request-private-network'] === 'true' && {
        'access-control-allow-private-network': 'true',
      }),
    };
  }
}

/** Says whether a request is a CORS preflight. */
export function isPreflight({ method, headers }: IncomingMessage): boolean {
  return method === 'OPTIONS' && headers.origin !== undefined && headers['access-control-request-method'] !== undefined;
}

/**
 * Gives the refusal of a body of another type than JSON; null for JSON. A page can send some of the other types without
 * a preflight.
 */
export function contentTypeRefusal({ headers }: IncomingMessage): RequestRefusal | null {
  const type = (headers['content-type'] ?? '').split(';', 1)[0]!.trim().toLowerCase();
  if (type === 'application/json') return null;
  return {
    status: 415,
    errorCode: 'BAD_USER_INPUT',
    errorDetails: `Send the header "content-type: application/json"${type === '' ? '' : `, not ${JSON.stringify(type)}`}.`,
  };
}

/**
 * Says whether `text` is an origin exactly as a browser writes it: scheme, host, and the port unless it is the default.
 * Neither `*` counts as an origin nor `null`, which every sandboxed page has.
 */
export function isOrigin(text: string): boolean {
  // A pattern is not an origin. No browser sends one, so it would allow no page.
  if (text.includes('*')) return false;
  if (/^https?:/i.test(text)) return URL.canParse(text) && new URL(text).origin === text;
  return /^[a-z][a-z0-9+.-]*:\/\/[^\s/?#@\\]+$/.test(text);
}

function hostName(header: string | undefined): string {
  return (header ?? '').replace(/:\d*$/, '').replace(/^\[(.*)\]$/, '$1');
}

function forbidden(errorDetails: string): RequestRefusal {
  return { status: 403, errorCode: 'FORBIDDEN', errorDetails };
}
