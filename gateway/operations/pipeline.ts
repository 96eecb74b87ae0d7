/**
 * The steps that every operation takes through the gateway. Each step stands here once, in order; a transport
 * (../transports) reads what a client sent, calls the steps, and writes a refusal in its own form.
 *
 * 1. caller: who is calling (../credentials/authenticate.ts)
 * 2. rate: how often a key may run operations (limits/key-rate.ts)
 * 3. name: which operation is meant (persisted-operations/resolve-operation.ts)
 * 4. check: tokens, syntax, validity and size of the document (limits/check-operation.ts), and which of its
 *    operations is meant
 * 5. permission, and whether its variables fit (authorize.ts)
 * 6. cost: how much the answer may hold (limits/measure-operation.ts)
 * 7. turn of the account, and the right of way of kill switches (turns/)
 * 8. run: queries and mutations by Apollo Server (graphql-server.ts); a subscription joins the clients with the same
 *    one (../subscriptions/shared-operations.ts), which takes no turn
 *
 * A query whose answer revisions govern takes the same steps in two calls, `governed` and `answer`. The results of
 * steps 4 to 6 are kept for its document, variables and permission scope, and so is the answer
 * (answers/revision-answers.ts). When an API key repeats a request exactly, only the checks whose result may have
 * changed are repeated (known-calls.ts); its rate is always counted.
 *
 * A step refuses an operation by throwing a FleetFlagError, or a RefusedOperation that carries GraphQL's own errors.
 * `answersTo` (refusals/error-answer.ts) gives the errors that the client gets.
 */
import { GraphQLError, type GraphQLFormattedError, type GraphQLSchema } from 'graphql';
import { FleetFlagError } from '../../core/errors.ts';
import type { ApiKeyCaller, Caller } from '../../core/access/caller.ts';
import type { RateLimiter } from '../../core/access/rate-limiter.ts';
import type { ApiKeyDirectory } from '../credentials/api-key-directory.ts';
import type { Authenticated, Credentials } from '../credentials/authenticate.ts';
import type { TaggedAnswer, GovernedCall, RevisionAnswers } from './answers/revision-answers.ts';
import { authorizeOperation } from './authorize.ts';
import {
  operationOf,
  type CheckedOperation,
  type PermittedOperation,
  type SentOperation,
} from './checked-operation.ts';
import { GovernedCalls } from './governed-calls.ts';
import { callerOf, type KnownCall } from './known-calls.ts';
import { refuseCost } from './limits/check-operation.ts';
import { refuseAnswerArguments } from './limits/answer-arguments.ts';
import { DocumentCache, type CachedDocument } from './limits/document-cache.ts';
import { countOperation, type KeyRate } from './limits/key-rate.ts';
import { OPERATION_LIMITS } from './limits/operation-limits.ts';
import type { NamingRequest } from './persisted-operations/operation-reference.ts';
import type { OperationText } from './persisted-operations/operation-texts.ts';
import { resolveOperation, type OperationSources } from './persisted-operations/resolve-operation.ts';
import { answerTo } from './refusals/error-answer.ts';
import { RefusedOperation } from './refusals/refused-operation.ts';
import { kindOf, type AccountConcurrency } from './turns/account-concurrency.ts';
import { isKillSwitch } from './turns/kill-switch-operation.ts';
import type { RightOfWay } from './turns/right-of-way.ts';

/** The parts of the gateway that the steps use. */
export interface PipelineParts {
  /**
   * Authenticates a caller (../credentials/authenticate.ts). A vehicle also gets its partition
   * (../partitions/partition-directory.ts), which is looked up in any case for a connection that lasts.
   */
  readonly authenticate: (
    credentials: Credentials,
    ipAddress: string | null,
    isLasting: boolean,
  ) => Promise<Authenticated>;
  /** The API keys that are cached. */
  readonly apiKeys: Pick<ApiKeyDirectory, 'known'>;
  /** Counts the operations of API keys. */
  readonly limiter: RateLimiter;
  /** The texts of persisted operations. */
  readonly texts: OperationSources;
  /** The schema in force. */
  readonly schema: () => GraphQLSchema;
  /** Whether clients may read the schema, and get suggestions of its names. */
  readonly introspection: boolean;
  readonly accounts: AccountConcurrency;
  readonly rightOfWay: RightOfWay;
  readonly answers: RevisionAnswers;
  /**
   * Called when a query that revisions govern has been answered.
   *
   * @param code OK, or the code of the refusal
   */
  readonly answered: (code: string, seconds: number) => void;
}

/** The answer to a query that revisions govern: either data without errors, or a single refusal. */
export interface GovernedAnswer {
  /** A weak entity tag (RFC 9110, section 8.8.3); null for a refusal. */
  readonly tag: string | null;
  /** JSON in UTF-8, with a line end after it; null where the client has the answer with the tag. */
  readonly json: Buffer | null;
  readonly refusal: GraphQLFormattedError | null;
}

/**
 * The refusal of a request without a document, in Apollo Server's words: over HTTP, Apollo Server itself gives it
 * before it looks up an operation.
 */
const NO_TEXT = 'GraphQL operations must contain a non-empty `query` or a `persistedQuery` extension.';

const NO_TAG = () => false;

/** Takes operations through the steps. */
export class OperationPipeline {
  readonly #parts: PipelineParts;
  /**
   * The parsed documents of vehicles and of all others, in two caches: the others' documents must not evict the few
   * that the whole fleet uses.
   */
  readonly #documents: Readonly<Record<'ofVehicles' | 'ofOthers', DocumentCache>>;

  readonly #governed: GovernedCalls;

  constructor(parts: PipelineParts) {
    this.#parts = parts;
    this.#governed = new GovernedCalls(this, parts.answers);
    const cache = () =>
      new DocumentCache({
        maxDocuments: OPERATION_LIMITS.cachedDocuments,
        maxBytes: OPERATION_LIMITS.cachedDocumentBytes,
        introspection: parts.introspection,
      });
    this.#documents = { ofVehicles: cache(), ofOthers: cache() };
  }

  /**
   * Step 1: authenticates the caller; gives an anonymous caller where there are no credentials.
   *
   * @param isLasting whether the caller opens a connection, and not only sends a request
   * @throws UNAUTHENTICATED for wrong credentials, RATE_LIMITED for too many of them, SERVICE_UNAVAILABLE where they
   *   cannot be looked up
   */
  caller(credentials: Credentials, ipAddress: string | null, isLasting = false): Promise<Authenticated> {
    return this.#parts.authenticate(credentials, ipAddress, isLasting);
  }

  /**
   * Steps 2 and 3: counts the operation of a key, then finds the text that the request names.
   *
   * @param naming what the request says of its operation; read after the rate
   * @param counted receives the state of the key's rate, also when the key is refused
   * @param before the state of the key's rate, if this request has already been counted
   * @returns null where the request brings its own text: at once for callers without a rate, so that what one client
   *   sends stays in order; resolves to null for others
   * @throws (or rejects with) RATE_LIMITED, BAD_USER_INPUT, UNAUTHENTICATED, FORBIDDEN, PERSISTED_QUERY_REQUIRED,
   *   PERSISTED_QUERY_NOT_FOUND or SERVICE_UNAVAILABLE
   */
  name(
    caller: Caller,
    naming: () => NamingRequest,
    counted?: (rate: KeyRate) => void,
    before?: KeyRate,
  ): Promise<OperationText | null> | null {
    const { texts } = this.#parts;
    if (caller.kind !== 'apiKey') return resolveOperation(naming(), caller, texts);
    const counting = before === undefined ? this.count(caller) : Promise.resolve(before);
    return counting.then((rate) => {
      if (rate !== null) counted?.(rate);
      if (rate?.refusal) throw rate.refusal;
      return resolveOperation(naming(), caller, texts);
    });
  }

  /** Step 2 by itself: counts an operation of an API key, and gives the state of its rate. */
  count(caller: ApiKeyCaller): Promise<KeyRate | null> {
    return countOperation(caller, this.#parts.limiter);
  }

  /**
   * Steps 1 and 3 to 6 of a call that has already passed them: gives its caller, or null where the call must pass them
   * again.
   */
  callerOfKnown(known: KnownCall): ApiKeyCaller | null {
    const { apiKeys, texts, answers } = this.#parts;
    if (!answers.isCurrent(known.call)) return null;
    return callerOf(known, { apiKeys, registered: texts.registered });
  }

  /**
   * Step 4: parses and validates the text, or finds it in the cache, and selects the operation to run.
   *
   * @param schema the schema that will run it; by default the one in force
   * @throws RefusedOperation; BAD_USER_INPUT for an empty text, and at `operationName`
   */
  check(
    text: string,
    operationName: string | undefined,
    caller: Caller,
    schema = this.#parts.schema(),
  ): CheckedOperation {
    if (text === '') throw new FleetFlagError('BAD_USER_INPUT', NO_TEXT);
    const { ofVehicles, ofOthers } = this.#documents;
    const prepared = (caller.kind === 'vehicle' ? ofVehicles : ofOthers).prepare(text, schema);
    return operationOf(prepared, operationName);
  }

  /**
   * Gives the document that `check` has prepared for the text with this SHA-256 (hexadecimal), if it is still cached.
   */
  prepared(hash: string): CachedDocument | undefined {
    return this.#documents.ofOthers.find(hash) ?? this.#documents.ofVehicles.find(hash);
  }

  /**
   * Steps 5 and 6: checks that the caller may run the operation with these variables, that it does not cost too much,
   * and that the answer of a mutation can be given.
   *
   * @param given the variables as the request gives them
   * @param schema as for `check`
   * @throws RefusedOperation with UNAUTHENTICATED, FORBIDDEN, BAD_USER_INPUT or LIMIT_EXCEEDED
   */
  permit(
    checked: CheckedOperation,
    given: Readonly<Record<string, unknown>>,
    caller: Caller,
    schema = this.#parts.schema(),
  ): PermittedOperation {
    const asked = { document: checked.document, operation: checked.operation, variables: given };
    try {
      const variables = authorizeOperation(schema, asked, caller, { hideSuggestions: !this.#parts.introspection });
      const cost = refuseCost(schema, asked);
      refuseAnswerArguments(schema, { ...checked, variables });
      return { ...checked, given, variables, cost };
    } catch (error) {
      throw error instanceof GraphQLError ? new RefusedOperation([error], checked.document) : error;
    }
  }

  /**
   * Step 7: waits for the turn of the caller's account, and until no kill switch is under way; a kill switch takes the
   * right of way instead. Resolves to the function that ends the turn, to be called after the answer.
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
    // The operation keeps its account's turn while it waits, so that the account's next operations wait as well.
    await rightOfWay.clear();
    return endTurn;
  }

  /**
   * Steps 4 to 6 of a query whose answer revisions govern. Gives null for any other operation, and for one that a step
   * refuses: the transport then takes it through the steps one by one.
   */
  governed(sent: SentOperation, caller: Caller): GovernedCall | null {
    return this.#governed.find(sent, caller);
  }

  /** Begins to read the state of a governed query's answer; null where it cannot be read. Never rejects. */
  readState(call: GovernedCall): Promise<string | null> {
    return this.#parts.answers.readState(call);
  }

  /**
   * Gives the answer to a governed query if it is kept or the client has it, which takes no turn. Gives null where the
   * answer must be computed, or a kill switch goes first.
   *
   * @param state the result of `readState` for the call, called after the request arrived
   * @param begunMs when the request arrived, by `performance.now()`
   */
  held(call: GovernedCall, state: string, isKnown: (tag: string) => boolean, begunMs: number): TaggedAnswer | null {
    const { answers, answered, rightOfWay } = this.#parts;
    if (rightOfWay.isTaken) return null;
    const answer = answers.held(call, state, isKnown);
    if (answer?.json != null) answered('OK', (performance.now() - begunMs) / 1_000);
    return answer;
  }

  /**
   * Steps 7 and 8 of a governed query. Gives its answer from what is kept, or computes it once for all callers that
   * request the same. Resolves to null where the transport has to run it.
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
