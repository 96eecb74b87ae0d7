/**
 * Parses and validates the documents of a subgraph once each: they come from query plans, so they are few and repeat.
 */
import {
  GraphQLError,
  NoSchemaIntrospectionCustomRule,
  parse,
  specifiedRules,
  validate,
  type DocumentNode,
  type GraphQLSchema,
} from 'graphql';
import { LRUCache } from 'lru-cache';

/** A document that may run, or the reasons why it may not. */
export type PreparedDocument =
  | { readonly document: DocumentNode; readonly errors?: undefined }
  | { readonly document?: undefined; readonly errors: readonly GraphQLError[] };

const MAX_DOCUMENTS = 500;
/** The most characters of all cached texts together. */
const MAX_CACHED_LENGTH = 1_048_576;

/** The published schema is known to everybody; a subgraph's own, with what only gateways use, is not. */
const RULES = [...specifiedRules, NoSchemaIntrospectionCustomRule];

function prepare(schema: GraphQLSchema, text: string): PreparedDocument {
  try {
    const document = parse(text, { noLocation: true });
    const errors = validate(schema, document, RULES);
    return errors.length > 0 ? { errors } : { document };
  } catch (error) {
    if (!(error instanceof GraphQLError)) throw error;
    return { errors: [error] };
  }
}

/** The documents of one schema. */
export class PreparedDocuments {
  readonly #prepared = new LRUCache<string, PreparedDocument>({
    max: MAX_DOCUMENTS,
    maxSize: MAX_CACHED_LENGTH,
    sizeCalculation: (_, text) => text.length || 1,
  });

  constructor(private readonly schema: GraphQLSchema) {}

  /** Gives the document of a text, and the errors of one that cannot be parsed or does not fit the schema. */
  prepare(text: string): PreparedDocument {
    let prepared = this.#prepared.get(text);
    if (prepared === undefined) this.#prepared.set(text, (prepared = prepare(this.schema, text)));
    return prepared;
  }
}
