/**
 * A file in the codings that browsers accept (RFC 9110, section 8.4.1), each made once, at the first request for it.
 */
import { promisify } from 'node:util';
import { brotliCompress, constants, gzip } from 'node:zlib';
import Negotiator from 'negotiator';
import type { PageFile } from './page-file.ts';

/** The codings, smallest first. */
const CODINGS = ['br', 'gzip', 'identity'] as const;
type Coding = (typeof CODINGS)[number];

/** Smaller files fit into one packet anyway. */
const WORTH_COMPRESSING_BYTES = 1_000;
/**
 * The size up to which a file gets brotli's best quality. The playground's 5 MB would need ten seconds of a core for
 * it, while somebody waits.
 */
const BEST_QUALITY_BYTES = 600_000;

const toBrotli = promisify(brotliCompress);
const toGzip = promisify(gzip);

/** Compresses the bytes of a file. */
export type Compress = (body: Buffer, coding: 'br' | 'gzip') => Promise<Buffer>;

const compressWithZlib: Compress = (body, coding) => {
  if (coding === 'gzip') return toGzip(body, { level: constants.Z_BEST_COMPRESSION });
  const quality = body.length <= BEST_QUALITY_BYTES ? constants.BROTLI_MAX_QUALITY : 6;
  return toBrotli(body, {
    params: {
      [constants.BROTLI_PARAM_QUALITY]: quality,
      [constants.BROTLI_PARAM_SIZE_HINT]: body.length,
      [constants.BROTLI_PARAM_MODE]: constants.BROTLI_MODE_TEXT,
    },
  });
};

/** One representation of a file: its bytes in one coding, and what the answer says of them. */
export interface Representation {
  readonly body: Buffer;
  /** The entity tag: strong, and another for each coding (RFC 9110, section 8.8.3.3). */
  readonly etag: string;
  /** The coding for `content-encoding`; null where the bytes are the file's own. */
  readonly encoding: Exclude<Coding, 'identity'> | null;
}

/** Gives the smallest coding that a client accepts. One that accepts none of them gets the file as it is. */
function bestCoding(acceptEncoding: string | undefined): Coding {
  // Negotiator takes an absent field for "anything", and programs without the field seldom decompress.
  if (acceptEncoding === undefined) return 'identity';
  const accepted = new Negotiator({ headers: { 'accept-encoding': acceptEncoding } }).encodings([...CODINGS]);
  return CODINGS.find((coding) => accepted.includes(coding)) ?? 'identity';
}

/** A file, with its codings kept for as long as it is. */
export class CompressedFile {
  readonly file: PageFile;
  /** Whether the answer depends on `accept-encoding`, which caches must know (`vary`). */
  readonly varies: boolean;
  readonly #made = new Map<Coding, Promise<Buffer>>();

  constructor(
    file: PageFile,
    private readonly compress = compressWithZlib,
  ) {
    this.file = file;
    this.varies = file.compressible && file.body.length >= WORTH_COMPRESSING_BYTES;
  }

  /** Gives the entity tag of what `representation` gives, without compressing anything: a 304 needs no bytes. */
  etag(acceptEncoding: string | undefined): string {
    return this.#etag(this.#coding(acceptEncoding));
  }

  /** Gives the file in the smallest coding that the client accepts. */
  async representation(acceptEncoding: string | undefined): Promise<Representation> {
    const coding = this.#coding(acceptEncoding);
    const etag = this.#etag(coding);
    if (coding === 'identity') return { body: this.file.body, etag, encoding: null };
    let making = this.#made.get(coding);
    if (making === undefined) {
      // The next request retries a compression that has failed, such as for lack of memory.
      making = this.compress(this.file.body, coding).catch((error: unknown) => {
        this.#made.delete(coding);
        throw error;
      });
      this.#made.set(coding, making);
    }
    return { body: await making, etag, encoding: coding };
  }

  #coding(acceptEncoding: string | undefined): Coding {
    return this.varies ? bestCoding(acceptEncoding) : 'identity';
  }

  #etag(coding: Coding): string {
    return coding === 'identity' ? `"${this.file.digest}"` : `"${this.file.digest}-${coding}"`;
  }
}
