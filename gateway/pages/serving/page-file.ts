/** The files of a page as browsers get them: a path, a media type, bytes, and how long a browser may keep them. */
import { createHash } from 'node:crypto';
import { extname } from 'node:path';

/** The media types of the files that pages are made of, and whether compression makes them smaller. */
const TYPES: Readonly<Record<string, { readonly type: string; readonly compressible: boolean }>> = {
  '.html': { type: 'text/html; charset=utf-8', compressible: true },
  '.css': { type: 'text/css; charset=utf-8', compressible: true },
  '.js': { type: 'text/javascript; charset=utf-8', compressible: true },
  '.json': { type: 'application/json; charset=utf-8', compressible: true },
  '.map': { type: 'application/json; charset=utf-8', compressible: true },
  '.svg': { type: 'image/svg+xml; charset=utf-8', compressible: true },
  '.txt': { type: 'text/plain; charset=utf-8', compressible: true },
  '.webmanifest': { type: 'application/manifest+json; charset=utf-8', compressible: true },
  '.ico': { type: 'image/x-icon', compressible: true },
  '.png': { type: 'image/png', compressible: false },
  '.woff2': { type: 'font/woff2', compressible: false },
};

/**
 * The caching of a file in browsers: `revalidate` asks each time and gets 304 while it is the same, `immutable` never
 * asks again, because the name changes with the content (`digestedName`).
 */
export type Caching = 'revalidate' | 'immutable';

/** One file, as `pageFile` makes it. */
export interface PageFile {
  /** The path of its URL, such as `/console/app-3fa94c0b1d.js`. */
  readonly path: string;
  readonly type: string;
  readonly compressible: boolean;
  readonly caching: Caching;
  readonly body: Buffer;
  /** SHA-256 of the body in base64url, from which entity tags are made. */
  readonly digest: string;
}

/**
 * Makes a file.
 *
 * @param path the path of its URL; the media type is that of its extension
 * @param content its text, or its bytes
 * @throws Error where the path has no known extension and no `type` is given
 */
export function pageFile(
  path: string,
  content: string | Uint8Array,
  { caching = 'revalidate', extension = extname(path) }: { caching?: Caching; extension?: string } = {},
): PageFile {
  const known = TYPES[extension];
  if (known === undefined)
    throw new Error(`${path} has no known media type; expected one of ${Object.keys(TYPES).join(' ')}`);
  const body = Buffer.from(content);
  return { path, ...known, caching, body, digest: createHash('sha256').update(body).digest('base64url') };
}

/**
 * Gives a file's name with ten digits of its content's SHA-256 before the extension, for files that are `immutable`.
 */
export function digestedName(name: string, content: string | Uint8Array): string {
  const extension = extname(name);
  const digest = createHash('sha256').update(content).digest('hex').slice(0, 10);
  return `${name.slice(0, name.length - extension.length)}-${digest}${extension}`;
}
