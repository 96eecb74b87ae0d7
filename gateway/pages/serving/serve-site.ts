/**
 * Serves the files of a page: compressed (brotli, or else gzip) once and for all, with entity tags, 304 and the header
 * fields of security.
 *
 * A page describes itself as a `Site` and is served by one call:
 *
 *     const CONSOLE: Site = {
 *       routes: ['/console', '/console/*'],
 *       policy: sitePolicy({ image: ['data:'] }),
 *       load: async () => [
 *         pageFile('/console', html, { extension: '.html' }),
 *         pageFile(`/console/${digestedName('app.js', script)}`, script, { caching: 'immutable' }),
 *       ],
 *       // Addresses within the page, such as /console/flags/eco, are answered with the page.
 *       otherwise: (path) => (path.includes('.') ? null : '/console'),
 *     };
 *     serveSite(app, CONSOLE);
 */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { isNamed } from '../../transports/http/graphql/entity-tag.ts';
import { CompressedFile } from './compressed-file.ts';
import type { PageFile } from './page-file.ts';

/** The files of a site, and the policy of its page. */
export interface Site {
  /** The routes that lead to its files, as fastify spells them: `/console`, `/console/*`. */
  readonly routes: readonly string[];
  /** The Content-Security-Policy of all its files; `sitePolicy` makes one. */
  readonly policy: string;
  /**
   * Gives the files. Called at the first request; where it fails, that request fails and the next one calls it again.
   */
  readonly load: () => Promise<readonly PageFile[]>;
  /** Gives the path of the file that answers a path without a file of its own; null: 404. By default always null. */
  readonly otherwise?: (path: string) => string | null;
}

const CACHE_CONTROL = { revalidate: 'no-cache', immutable: 'public, max-age=31536000, immutable' } as const;

/**
 * The needs of a page beyond its own host's scripts, styles, images, fonts and workers: sources as the policy spells
 * them.
 */
export interface PolicySources {
  readonly script?: readonly string[];
  readonly style?: readonly string[];
  readonly image?: readonly string[];
  readonly font?: readonly string[];
  readonly worker?: readonly string[];
}

/**
 * Makes a Content-Security-Policy (Level 3) that lets a page load from and connect to its own host, and nothing else:
 * no inline script or style, no `eval`, no frame around it, no form that leads elsewhere.
 *
 * @param sources what the page needs besides, such as `{ image: ['data:'] }`
 */
export function sitePolicy({
  script = [],
  style = [],
  image = [],
  font = [],
  worker = [],
}: PolicySources = {}): string {
  const own = (...others: readonly string[]) => ["'self'", ...others].join(' ');
  return [
    "default-src 'none'",
    `script-src ${own(...script)}`,
    `style-src ${own(...style)}`,
    `img-src ${own(...image)}`,
    `font-src ${own(...font)}`,
    `worker-src ${own(...worker)}`,
    "connect-src 'self'",
    "manifest-src 'self'",
    "form-action 'self'",
    "frame-ancestors 'none'",
    "base-uri 'none'",
  ].join('; ');
}

/** Adds the routes of a site. It must be called before the server listens. */
export function serveSite(app: FastifyInstance, { routes, policy, load, otherwise = () => null }: Site): void {
  let loading: Promise<ReadonlyMap<string, CompressedFile>> | undefined;
  const files = () =>
    (loading ??= load().then(
      (loaded) => new Map(loaded.map((file) => [file.path, new CompressedFile(file)])),
      (error: unknown) => {
        loading = undefined;
        throw error;
      },
    ));
  const security = {
    'content-security-policy': policy,
    'x-content-type-options': 'nosniff',
    'referrer-policy': 'same-origin',
    'cross-origin-opener-policy': 'same-origin',
    'cross-origin-resource-policy': 'same-origin',
  };

  const answer = async (request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> => {
    const path = request.url.split('?', 1)[0] ?? '';
    const known = await files();
    const found = known.get(path) ?? known.get(otherwise(path) ?? '');
    if (found === undefined) {
      reply.callNotFound();
      return reply;
    }
    const accepted = request.headers['accept-encoding'];
    const etag = found.etag(accepted);
    reply.headers({ ...security, etag, 'cache-control': CACHE_CONTROL[found.file.caching] });
    if (found.varies) reply.header('vary', 'Accept-Encoding');
    if (isNamed(etag, request.headers['if-none-match'])) return reply.status(304).send();
    const { body, encoding } = await found.representation(accepted);
    if (encoding !== null) reply.header('content-encoding', encoding);
    return reply.type(found.file.type).send(body);
  };
  for (const route of routes) app.get(route, answer);
}
