/** Pages of which origins may call the gateway: its own, and those that FLEETFLAG_ALLOWED_ORIGINS names. */
import cors, { type FastifyCorsOptions } from '@fastify/cors';
import type { FastifyInstance } from 'fastify';

export interface PageOrigins {
  /** Whether the setting names this origin. */
  names(origin: string): boolean;
  /**
   * Whether a request may come from a page. Programs send no Origin, so what has none is no page's. The gateway's own
   * is told by the host alone: a proxy that ends TLS leaves the scheme unknown.
   */
  admits(headers: { readonly origin?: string | undefined; readonly host?: string | undefined }): boolean;
}

/**
 * Header fields of which a GET has to have one: a page of another site can send none of them without asking first, and
 * nothing here answers that it may.
 */
export const PREFLIGHT_HEADERS: readonly string[] = [
  'authorization',
  'x-api-key',
  'x-apollo-operation-name',
  'apollo-require-preflight',
];

/** @param named origins as browsers send them, such as `https://dashboard.example.com` */
export function pageOrigins(named: readonly string[]): PageOrigins {
  const origins = new Set(named);
  const isOwn = (origin: string, host: string | undefined) =>
    URL.canParse(origin) && new URL(origin).host === host?.toLowerCase();
  return {
    names: (origin) => origins.has(origin),
    admits: ({ origin, host }) => origin === undefined || origins.has(origin) || isOwn(origin, host),
  };
}

/**
 * The header fields of answers that a page may read beside those that every page may (Fetch, "CORS-safelisted
 * response-header name").
 */
const EXPOSED = [
  'ETag',
  'Retry-After',
  'RateLimit-Limit',
  'RateLimit-Remaining',
  'RateLimit-Reset',
  'RateLimit-Policy',
  'WWW-Authenticate',
  'X-Request-Id',
];
/** How long a browser need not ask again what a page may send, in seconds. */
const PREFLIGHT_AGE = 600;

/** Lets pages of the admitted origins call `path`, a route that is added to `scope` (Fetch, "CORS protocol"). */
export async function admitPages(scope: FastifyInstance, path: string, origins: PageOrigins): Promise<void> {
  await scope.register(cors, {
    delegator: ({ headers, url }, done) => {
      const { origin } = headers;
      const options: FastifyCorsOptions = {
        // The plugin's own route for preflights has every path.
        origin: origin !== undefined && url.split('?', 1)[0] === path && origins.admits(headers),
        // The gateway itself uses no cookies; a proxy before it that signs people in may. Its own pages need none of
        // this.
        credentials: origin !== undefined && origins.names(origin),
        methods: ['GET', 'POST'],
        exposedHeaders: EXPOSED,
        maxAge: PREFLIGHT_AGE,
        // An OPTIONS that is no preflight has its 405, as other methods have.
        preflight: headers['access-control-request-method'] !== undefined,
      };
      done(null, options);
    },
  });
}
