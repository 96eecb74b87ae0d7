/**
 * Parsed and validated documents by their text: a fleet sends the same few, and parsing and validating costs more
 * than everything else about a subscribe.
 */
import { createHash } from 'node:crypto';
import { GraphQLError, parse, specifiedRules, validate, type DocumentNode, type GraphQLSchema, type ValidationRule } from 'graphql';
import type { SubscriptionPlan } from './subscription-plan.ts';

export interface PreparedDocument {
  /** SHA-256 of the text, for the keys of shared operations. */
  readonly hash: string;
  /** Null when the text cannot be parsed. */
  readonly document: DocumentNode | null;
  /** Syntax or validation errors; empty when the document may run. */
  readonly errors: readonly GraphQLError[];
  /** By operation name (the empty string for none). */
  readonly plans: Map<string, SubscriptionPlan>;
  readonly textBytes: number;
}

export interface DocumentCacheOptions {
  readonly maxDocuments: number;
  /** Of all texts together. */
  readonly maxBytes: number;
  readonly maxTokens: number;
  /** Beside graphql-js's own. */
  readonly rules: readonly ValidationRule[];
}

function asErrors(error: unknown): GraphQLError[] {
  return [error instanceof GraphQLError ? error : new GraphQLError('The document cannot be validated.')];
}

/** A cache for one schema at a time: another schema empties it. */
export class DocumentCache {
  private readonly entries = new Map<string, PreparedDocument>();
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
      this.bytes = 0;
      this.schema = schema;
    }
    let entry = this.entries.get(text);
    // Deleting and setting again makes the map's order the order of last use.
    if (entry !== undefined) this.entries.delete(text);
    else {
      entry = this.build(text, schema);
      this.bytes += entry.textBytes;
    }
    this.entries.set(text, entry);
    for (const [oldest, { textBytes }] of this.entries) {
      if (this.entries.size <= this.options.maxDocuments && this.bytes <= this.options.maxBytes) break;
      this.entries.delete(oldest);
      this.bytes -= textBytes;
    }
    return entry;
  }

  private build(text: string, schema: GraphQLSchema): PreparedDocument {
    const common = { hash: createHash('sha256').update(text).digest('base64'), plans: new Map<string, SubscriptionPlan>(), textBytes: Buffer.byteLength(text) };
    let document: DocumentNode;
    try {
      document = parse(text, { maxTokens: this.options.maxTokens, noLocation: false });
    } catch (error) {
      return { ...common, document: null, errors: asErrors(error) };
    }
    try {
      return { ...common, document, errors: validate(schema, document, [...specifiedRules, ...this.options.rules]) };
    } catch (error) {
      // graphql-js throws, instead of reporting, where a subscription's root field has a variable in @skip or @include.
      return { ...common, document, errors: asErrors(error) };
    }
  }
}
