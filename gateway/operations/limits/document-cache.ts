/**
 * Parsed and validated documents by their text: clients send the same few, and parsing and validating costs more than
 * everything else about a subscribe.
 */
import { createHash } from 'node:crypto';
import type { DocumentNode, GraphQLError, GraphQLSchema } from 'graphql';
import { checkDocument } from './check-operation.ts';

export interface PreparedDocument {
  /** SHA-256 of the text, hexadecimal. */
  readonly hash: string;
  /** Null when the text cannot be parsed. */
  readonly document: DocumentNode | null;
  /** Limits, syntax or validation errors; empty when the document may run. */
  readonly errors: readonly GraphQLError[];
  readonly textBytes: number;
}

export interface DocumentCacheOptions {
  readonly maxDocuments: number;
  /** Of all texts together. */
  readonly maxBytes: number;
  /** See CheckOptions. */
  readonly introspection: boolean;
}

/** A cache for one schema at a time: another schema empties it. */
export class DocumentCache {
  private readonly entries = new Map<string, PreparedDocument>();
  private readonly byHash = new Map<string, PreparedDocument>();
  private schema: GraphQLSchema | null = null;
  private bytes = 0;

  constructor(private readonly options: DocumentCacheOptions) {}

  get size(): number {
    return this.entries.size;
  }

  /** Parses and validates `text` against `schema`, or finds that it has been done. Never throws. */
  prepare(text: string, schema: GraphQLSchema): PreparedDocument {
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
      this.bytes += entry.textBytes;
    }
    this.entries.set(text, entry);
    for (const [oldest, { hash, textBytes }] of this.entries) {
      if (this.entries.size <= this.options.maxDocuments && this.bytes <= this.options.maxBytes) break;
      this.entries.delete(oldest);
      this.byHash.delete(hash);
      this.bytes -= textBytes;
    }
    return entry;
  }

  /** The document whose text has this SHA-256 (hexadecimal), where it is held. */
  find(hash: string): PreparedDocument | undefined {
    return this.byHash.get(hash);
  }

  private build(text: string, schema: GraphQLSchema): PreparedDocument {
    return {
      hash: createHash('sha256').update(text).digest('hex'),
      textBytes: Buffer.byteLength(text),
      ...checkDocument(text, schema, this.options),
    };
  }
}
