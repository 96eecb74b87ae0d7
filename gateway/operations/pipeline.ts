/**
 * The way of an operation through the gateway. Each step stands here once, in the order in which every operation takes
 * them; a transport (../transports) reads what a client sent, calls the steps, and says a refusal in its own form.
 *
 * 1. caller: who is calling (../credentials/authenticate.ts)
 * 2. rate: how often a key may ask (limits/key-rate.ts)
 * 3. name: which operation is meant (persisted-operations/resolve-operation.ts)
 * 4. check: tokens, syntax, validity and size of the document (limits/check-operation.ts), which of its operations
 * 5. permission, and whether its variables fit (authorize.ts)
 * 6. cost: how much the answer may hold (limits/measure-operation.ts)
 * 7. turn of the account, and the right of way of kill switches (turns/)
 * 8. run: queries and mutations by Apollo Server (graphql-server.ts); a subscription joins those who ask the same
 *    (../subscriptions/shared-operations.ts), which takes no turn
 *
 * A query whose answer revisions govern takes the same steps at once, by `governed` and `answer`: what steps 4 to 6 have
 * found is kept for its document, variables and permission scope, and so is the answer (answers/revision-answers.ts).
 *
 * What a step refuses it throws: a FleetFlagError, or a RefusedOperation where GraphQL's errors say why. `answersTo`
 * (refusals/error-answer.ts) gives the errors that the client gets.
 */
import {
  GraphQLError,
  getOperationAST,
  type DocumentNode,
  type GraphQLFormattedError,
  type GraphQLSchema,
  type OperationDefinitionNode,
} from 'graphql';
import { LRUCache } from 'lru-cache';
import { FleetFlagError, badInput } from '../../core/errors.ts';
import { permissionScope, type Caller } from '../../core/access/caller.ts';
import type { RateLimiter } from '../../core/access/rate-limiter.ts';
import type { Authenticated, Credentials } from '../credentials/authenticate.ts';
import type { GovernedCall, RevisionAnswers } from './answers/revision-answers.ts';
import { authorizeOperation } from './authorize.ts';
import { refuseCost } from './limits/check-operation.ts';
import { refusePages } from './limits/page-arguments.ts';
import { DocumentCache, type PreparedDocument } from './limits/document-cache.ts';
import { countOperation, type KeyRate } from './limits/key-rate.ts';
import { OPERATION_LIMITS } from './limits/operation-limits.ts';
import type { NamingRequest } from './persisted-operations/operation-reference.ts';
import type { OperationText } from './persisted-operations/operation-texts.ts';
import { resolveOperation, type OperationSources } from './persisted-operations/resolve-operation.ts';
import { answerTo } from './refusals/error-answer.ts';
import { RefusedOperation, withCode } from './refusals/refused-operation.ts';
import { kindOf, type AccountConcurrency } from './turns/account-concurrency.ts';
import { isKillSwitch } from './turns/kill-switch-operation.ts';
import type { RightOfWay } from './turns/right-of-way.ts';

export interface PipelineParts {
  /** See ../credentials/authenticate.ts. */
  readonly authenticate: (credentials: Credentials, ipAddress: string | null) => Promise<Authenticated>;
  /** Counts the operations of API keys. */
  readonly limiter: RateLimiter;
  /** Where the texts of persisted operations are found. */
  readonly texts: OperationSources;
  /** The schema in force. */
  readonly schema: () => GraphQLSchema;
  /** Whether clients may ask for the schema, and are suggested names of it. */
  readonly introspection: boolean;
  readonly accounts: AccountConcurrency;
  readonly rightOfWay: RightOfWay;
  readonly answers: RevisionAnswers;
  /** A query that revisions govern has been answered. @param code OK, or that of its refusal */
  readonly answered: (code: string, seconds: number) => void;
}

/** An operation as a client sent it, with the text that it names. */
export interface SentOperation {
  readonly text: string;
  readonly operationName: string | undefined;
  readonly variables: SentVariables;
}

/** Variables that are read only where somebody needs them. */
export interface SentVariables {
  /** As JSON, in which the order of members and blanks do not matter. */
  readonly text: () => string;
  readonly value: () => Readonly<Record<string, unknown>>;
}

/** The answer to a query that revisions govern: without errors, or nothing but a refusal. */
export interface GovernedAnswer {
  /** A weak entity tag (RFC 9110, section 8.8.3); null for a refusal. */
  readonly tag: string | null;
  /** JSON in UTF-8, with a line end after it; null where the client has the answer with the tag. */
  readonly json: Buffer | null;
  readonly refusal: GraphQLFormattedError | null;
}

/** A document that may run, and the operation of it that is meant. */
export interface CheckedOperation {
  readonly document: DocumentNode;
  readonly operation: OperationDefinitionNode;
  /** SHA-256 of the text, hexadecimal. */
  readonly hash: string;
}

/** An operation that its caller may run. */
export interface PermittedOperation extends CheckedOperation {
  /** As the request gives them. */
  readonly given: Readonly<Record<string, unknown>>;
  /** The values of the declared variables, coerced. */
  readonly variables: Record<string, unknown>;
  /** The most objects that the answer could hold. */
  readonly cost: number;
}

/** In the words of Apollo Server, which says so over HTTP before it looks for an operation. */
const NO_TEXT = 'GraphQL operations must contain a non-empty `query` or a `persistedQuery` extension.';

/** The most characters of all kept calls, and of one, the texts of their documents included. */
const MAX_CALLS_LENGTH = 8 * 1024 * 1024;
const MAX_CALL_LENGTH = 64 * 1024;
/** What a call takes beside its names and variables, about. */
const CALL_OVERHEAD = 600;

const NO_TAG = () => false;

export class OperationPipeline {
  readonly #parts: PipelineParts;
  /** Calls that callers of a scope may make, by their document, operation and variables as they were sent. */
  readonly #calls = new LRUCache<string, GovernedCall>({
    maxSize: MAX_CALLS_LENGTH,
    maxEntrySize: MAX_CALL_LENGTH,
    // The variables are in it as text, as values, and in its key.
    sizeCalculation: ({ text }, name) => CALL_OVERHEAD + 3 * name.length + text.length,
  });
  /** What others send pushes none of the vehicles' few texts out, which a whole fleet uses. */
  readonly #documents: Readonly<Record<'ofVehicles' | 'ofOthers', DocumentCache>>;

  /** A transport that knows an operation again gives the same object. */
  readonly #lastCalls = new WeakMap<SentOperation, { readonly scopeText: string; readonly call: GovernedCall }>();

  constructor(parts: PipelineParts) {
    this.#parts = parts;
    const cache = () =>
      new DocumentCache({
        maxDocuments: OPERATION_LIMITS.cachedDocuments,
        maxBytes: OPERATION_LIMITS.cachedDocumentBytes,
        introspection: parts.introspection,
      });
    this.#documents = { ofVehicles: cache(), ofOthers: cache() };
  }

  /**
   * Step 1: who is calling; an anonymous caller where there are no credentials.
   *
   * @throws UNAUTHENTICATED for wrong credentials, RATE_LIMITED for too many of them, SERVICE_UNAVAILABLE where they
   *   cannot be looked up
   */
  caller(credentials: Credentials, ipAddress: string | null): Promise<Authenticated> {
    return this.#parts.authenticate(credentials, ipAddress);
  }

  /**
   * Steps 2 and 3: counts the operation of a key, then finds the text that the request names.
   *
   * @param naming what the request says of its operation; read after the rate
   * @param counted told where a key stands, also when it is refused
   * @returns null where the request brings its own text: at once for callers without a rate, so that what one client
   *   sends stays in order; resolves to null for others
   * @throws (or rejects with) RATE_LIMITED, BAD_USER_INPUT, UNAUTHENTICATED, FORBIDDEN, PERSISTED_QUERY_REQUIRED,
   *   PERSISTED_QUERY_NOT_FOUND or SERVICE_UNAVAILABLE
   */
  name(
    caller: Caller,
    naming: () => NamingRequest,
    counted?: (rate: KeyRate) => void,
  ): Promise<OperationText | null> | null {
    const { limiter, texts } = this.#parts;
    if (caller.kind !== 'apiKey') return resolveOperation(naming(), caller, texts);
    return countOperation(caller, limiter).then((rate) => {
      if (rate !== null) counted?.(rate);
      if (rate?.refusal) throw rate.refusal;
      return resolveOperation(naming(), caller, texts);
    });
  }

  /**
   * Step 4: parses and validates the text, or finds that it has been done, and finds the operation that is meant.
   *
   * @throws RefusedOperation, or BAD_USER_INPUT for no text and at `operationName`
   */
  check(text: string, operationName: string | undefined, caller: Caller): CheckedOperation {
    if (text === '') throw new FleetFlagError('BAD_USER_INPUT', NO_TEXT);
    const { ofVehicles, ofOthers } = this.#documents;
    const prepared = (caller.kind === 'vehicle' ? ofVehicles : ofOthers).prepare(text, this.#parts.schema());
    return operationOf(prepared, operationName);
  }

  /** The document that `check` has made of the text with this SHA-256 (hexadecimal), where it is still held. */
  prepared(hash: string): PreparedDocument | undefined {
    return this.#documents.ofOthers.find(hash) ?? this.#documents.ofVehicles.find(hash);
  }

  /**
   * Steps 5 and 6: whether the caller may run the operation with these variables, whether it costs too much, and whether
   * the answer of a mutation can be given.
   *
   * @param given the variables as the request gives them
   * @throws RefusedOperation with UNAUTHENTICATED, FORBIDDEN, BAD_USER_INPUT or LIMIT_EXCEEDED
   */
  permit(checked: CheckedOperation, given: Readonly<Record<string, unknown>>, caller: Caller): PermittedOperation {
    const schema = this.#parts.schema();
    const asked = { document: checked.document, operation: checked.operation, variables: given };
    try {
      const variables = authorizeOperation(schema, asked, caller, { hideSuggestions: !this.#parts.introspection });
      const cost = refuseCost(schema, asked);
      refusePages(schema, { ...checked, variables });
      return { ...checked, given, variables, cost };
    } catch (error) {
      throw error instanceof GraphQLError ? new RefusedOperation([error], checked.document) : error;
    }
  }

  /**
   * Step 7: waits for the turn of the caller's account and until no kill switch is under way; a kill switch takes the
   * right of way instead. Resolves to the end of both, which belongs after the answer.
   *
   * @throws RATE_LIMITED or SERVICE_UNAVAILABLE, both with `retryAfter`
   */
  async turn({ document, operation, given, cost }: PermittedOperation, caller: Caller): Promise<() => void> {
    const { accounts, rightOfWay } = this.#parts;
    const isKill = isKillSwitch(document, operation, given);
    if (!isKill) return this.#usualTurn(cost, caller);
    const endTurn = await accounts.acquire(caller, kindOf(true, cost));
    const endWay = rightOfWay.begin();
    return () => {
      endTurn();
      endWay();
    };
  }

  async #usualTurn(cost: number, caller: Caller): Promise<() => void> {
    const { accounts, rightOfWay } = this.#parts;
    const endTurn = await accounts.acquire(caller, kindOf(false, cost));
    // With its turn, so that who comes after it in the account waits as well.
    await rightOfWay.clear();
    return endTurn;
  }

  /**
   * Steps 4 to 6 of a query whose answer revisions govern; null for any other operation, and for one that a step
   * refuses: its transport takes it through the steps one by one.
   */
  governed(sent: SentOperation, caller: Caller): GovernedCall | null {
    const { answers } = this.#parts;
    const { text, operationName, variables } = sent;
    const scope = permissionScope(caller);
    const scopeText = JSON.stringify(scope);
    const last = this.#lastCalls.get(sent);
    if (last?.scopeText === scopeText) return last.call;
    try {
      const checked = this.check(text, operationName, caller);
      if (!answers.mayGovern(checked)) return null;
      const name = [checked.hash, operationName ?? '', scopeText, variables.text()].join('\n');
      let call: GovernedCall | null | undefined = this.#calls.get(name);
      if (call === undefined) {
        const permitted = this.permit(checked, variables.value(), caller);
        call = answers.call(permitted, { text, operationName }, scope);
        if (call !== null) this.#calls.set(name, call);
      }
      if (call !== null) this.#lastCalls.set(sent, { scopeText, call });
      return call;
    } catch {
      return null;
    }
  }

  /**
   * Steps 7 and 8 of a governed query: its answer from what is kept, or computed once for all who ask the same. Null
   * where its transport has to run it.
   *
   * @param isKnown whether the client has the answer with this tag
   */
  async answer(
    call: GovernedCall,
    caller: Caller,
    isKnown: (tag: string) => boolean = NO_TAG,
  ): Promise<GovernedAnswer | null> {
    const { answers, answered, rightOfWay } = this.#parts;
    const begun = performance.now();
    const seconds = () => (performance.now() - begun) / 1_000;
    try {
      if (rightOfWay.isTaken) await rightOfWay.clear();
      const answer = await answers.answer(call, isKnown, () => this.#usualTurn(call.cost, caller));
      if (answer === null) return null;
      if (answer.json !== null) answered('OK', seconds());
      return { ...answer, refusal: null };
    } catch (error) {
      if (!(error instanceof FleetFlagError)) throw error;
      const refusal = answerTo(error);
      answered(error.code, seconds());
      return { tag: null, json: Buffer.from(`${JSON.stringify({ errors: [refusal] })}\n`), refusal };
    }
  }
}

/**
 * The operation of a prepared document that is meant. Throws RefusedOperation where the document may not run, and
 * BAD_USER_INPUT at `operationName` where none or several could be meant.
 */
export function operationOf(prepared: PreparedDocument, operationName: string | undefined): CheckedOperation {
  const { document, errors, hash } = prepared;
  if (document === null || errors.length > 0) {
    const code = document === null ? 'GRAPHQL_PARSE_FAILED' : 'GRAPHQL_VALIDATION_FAILED';
    throw new RefusedOperation(
      errors.map((error) => withCode(error, code)),
      document ?? undefined,
    );
  }
  const operation = getOperationAST(document, operationName);
  if (operation == null)
    throw badInput(
      'operationName',
      operationName
        ? `The document has no operation ${JSON.stringify(operationName)}.`
        : 'The document has several operations: name one in operationName.',
    );
  return { document, operation, hash };
}
