/**
 * The most that one request and the operation in it may cost, over HTTP and over a websocket alike.
 * `docs/operations/limits.md` gives the reasons; a test holds the two together.
 */
export const OPERATION_LIMITS = {
  /** Bytes of an HTTP body: 256 KB of conditions, escaped inside a variable, and room for the rest. */
  bodyBytes: 1024 * 1024,
  /**
   * Lists and objects within each other in a body or a message. A value may have 32, and what names it a few; JSON that
   * is nested thousands deep can be parsed, but not written again.
   */
  jsonDepth: 500,
  /** Milliseconds until a request over HTTP has arrived whole. */
  requestTimeoutMs: 30_000,
  /** Milliseconds until its headers have, counted from the connection. */
  headersTimeoutMs: 10_000,
  /**
   * The tokens of the document; the parser stops there. Validation takes quadratic time at worst: a tenth of a second
   * for as many.
   */
  tokens: 1_000,
  /** Fields below each other, fragments aside. */
  depth: 10,
  aliases: 30,
  /**
   * Lists and objects within each other in a value that the document holds: planning a list in lists takes twice as
   * long for each.
   */
  literalDepth: 10,
  /** Fields of Query or Mutation: each is a request to a subgraph, and each mutation waits for the one before. */
  rootFields: 20,
  /** All fields, a fragment's as often as it is spread: planning has to go through each. */
  fields: 500,
  /** Objects that the answer may hold; see measure-operation.ts. */
  cost: 10_000,
  /** Parsed and validated documents kept, of vehicles and of others each, and the bytes of memory that they take. */
  cachedDocuments: 1_000,
  cachedDocumentBytes: 32 * 1024 * 1024,
} as const;

/** The name of a limit. */
export type OperationLimit = keyof typeof OPERATION_LIMITS;
