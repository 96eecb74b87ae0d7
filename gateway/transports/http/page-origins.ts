/** The origins whose pages may call the gateway: its own, and those that FLEETFLAG_ALLOWED_ORIGINS names. */
import cors, { type FastifyCorsOptions } from '@fastify/cors';
import type { FastifyInstance, FastifyPluginCallback, onRequestHookHandler } from 'fastify';

/** Decides by the Origin of a request (Fetch, "Origin header"). */
export interface PageOrigins {
  /** Says whether the setting names this origin. */
  names(origin: string): boolean;
  /**
   * Says whether a request is admitted. One without an Origin is, because only programs send none. The gateway's own
   * origin is recognised by its host alone, because a proxy that terminates TLS leaves the scheme unknown.
   */
  admits(headers: { readonly origin?: string | undefined; readonly host?: string | undefined }): boolean;
}

/**
 * The header fields of which a GET must have at least one. A page of another site cannot send any of them without a
 * preflight, which the gateway refuses.
 */
export const PREFLIGHT_HEADERS: readonly string[] = [
  'authorization',
  'x-api-key',
  'x-apollo-operation-name',
  'apollo-require-preflight',
];

/**
 * Creates the decision for the origins of the setting.
 *
 * @param named origins as browsers send them, such as `https://dashboard.example.com`
 */
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
 * The header fields of answers that admitted pages may read, besides the CORS-safelisted ones (Fetch, "CORS-safelisted
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
/** The time for which a browser may reuse the answer to a preflight. */
const PREFLIGHT_MAX_AGE_SECONDS = 600;

type CorsOptions = Parameters<typeof cors>[1];

/**
 * The CORS plugin, for requests of pages and for preflights only, because its hook copies its options several times for
 * each request. All other requests would get nothing from it but `Vary: Origin`, which is added here.
 */
const onlyForPages: FastifyPluginCallback<CorsOptions> = Object.assign(
  (scope: FastifyInstance, options: CorsOptions, done: () => void) => {
    // oxlint-disable-next-line typescript/consistent-type-assertions -- Object.create gives no type; its prototype is a scope
    const ofPages = Object.create(scope, {
      addHook: {
        value: (name: 'onRequest', hook: onRequestHookHandler) =>
          scope.addHook(name, function (request, reply, next) {
            if (request.headers.origin !== undefined || request.method === 'OPTIONS')
              return hook.call(scope, request, reply, next);
            reply.header('vary', 'Origin');
            next();
          }),
      },
    }) as FastifyInstance;
    cors(ofPages, options, done);
  },
  { [Symbol.for('skip-override')]: true },
);

/** Lets pages of the admitted origins call `path`, a route that is added to `scope` (Fetch, "CORS protocol"). */
export async function admitPages(scope: FastifyInstance, path: string, origins: PageOrigins): Promise<void> {
  await scope.register(onlyForPages, {
    delegator: ({ headers, url }, done) => {
      const { origin } = headers;
      const options: FastifyCorsOptions = {
        // The plugin answers preflights of every path, so the path is checked here.
        origin: origin !== undefined && url.split('?', 1)[0] === path && origins.admits(headers),
        // The gateway uses no cookies, but a proxy before it that signs people in may. Pages of the gateway's own
        // origin need no CORS.
        credentials: origin !== undefined && origins.names(origin),
        methods: ['GET', 'POST'],
        exposedHeaders: EXPOSED,
        maxAge: PREFLIGHT_MAX_AGE_SECONDS,
        // An OPTIONS that is not a preflight gets 405, as other methods do.
        preflight: headers['access-control-request-method'] !== undefined,
      };
      done(null, options);
    },
  });
}
