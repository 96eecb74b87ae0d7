/**
 * Parsed and validated documents by their text: clients send the same few, and parsing and validating costs more than
 * everything else about a subscribe.
 */
import { createHash } from 'node:crypto';
import { TokenKind, type DocumentNode, type GraphQLError, type GraphQLSchema, type Token } from 'graphql';
import { checkDocument } from './check-operation.ts';

/** A document as it was parsed and validated. */
export interface CachedDocument {
  /** SHA-256 of the text, hexadecimal. */
  readonly hash: string;
  /** Null when the text cannot be parsed. */
  readonly document: DocumentNode | null;
  /** Limits, syntax or validation errors; empty when the document may run. */
  readonly errors: readonly GraphQLError[];
  /** The approximate bytes of memory that it takes. */
  readonly bytes: number;
}

/**
 * The bytes that a parsed document takes for each of its tokens, for each comment, and those that any entry takes.
 * Measured: a document of many short tokens takes 250 bytes of memory for a byte of text, and a usual one 70 to 90.
 */
const TOKEN_BYTES = 500;
const COMMENT_BYTES = 150;
const ENTRY_BYTES = 2_000;

/** Counts the comments of a document. Its tokens are held with them, and its number of tokens leaves them out. */
function commentsIn(document: DocumentNode): number {
  let comments = 0;
  for (let token: Token | null = document.loc?.startToken ?? null; token !== null; token = token.next)
    if (token.kind === TokenKind.COMMENT) comments++;
  return comments;
}

/** The limits of a cache, and a setting of its checks. */
export interface DocumentCacheOptions {
  readonly maxDocuments: number;
  /** The most bytes of memory, approximately, that all documents together take. */
  readonly maxBytes: number;
  /** See CheckOptions. */
  readonly introspection: boolean;
}

/** A cache for one schema at a time: another schema empties it. */
export class DocumentCache {
  private readonly entries = new Map<string, CachedDocument>();
  private readonly byHash = new Map<string, CachedDocument>();
  private schema: GraphQLSchema | null = null;
  private bytes = 0;

  constructor(private readonly options: DocumentCacheOptions) {}

  get size(): number {
    return this.entries.size;
  }

  /** Parses and validates `text` against `schema`, or finds that it has been done. Never throws. */
  prepare(text: string, schema: GraphQLSchema): CachedDocument {
    if (schema !== this.schema) {
      this.entries.clear();
      this.byHash.clear();
      this.bytes = 0;
      this.schema = schema;
    }
    let entry = this.entries.get(text);
    // Deleting and setting again makes the map's order the order of last use.
    if (entry !== undefined) this.entries.delete(text);
    else {
      entry = this.build(text, schema);
      this.byHash.set(entry.hash, entry);
      this.bytes += entry.bytes;
    }
    this.entries.set(text, entry);
    for (const [oldest, { hash, bytes }] of this.entries) {
      if (this.entries.size <= this.options.maxDocuments && this.bytes <= this.options.maxBytes) break;
      this.entries.delete(oldest);
      this.byHash.delete(hash);
      this.bytes -= bytes;
    }
    return entry;
  }

  /** The document whose text has this SHA-256 (hexadecimal), where it is held. */
  find(hash: string): CachedDocument | undefined {
    return this.byHash.get(hash);
  }

  private build(text: string, schema: GraphQLSchema): CachedDocument {
    const checked = checkDocument(text, schema, this.options);
    const { document } = checked;
    const parsedBytes =
      document === null ? 0 : TOKEN_BYTES * (document.tokenCount ?? 0) + COMMENT_BYTES * commentsIn(document);
    return {
      hash: createHash('sha256').update(text).digest('hex'),
      // The text is held as the key and by the document, and may have two bytes for a character.
      bytes: ENTRY_BYTES + 2 * text.length + parsedBytes,
      ...checked,
    };
  }
}
