/**
 * Keeps the answers that change only when a revision does ("governed by revisions"), as bytes. Each is computed once
 * for a document, its variables, a permission scope and the state of what it depends on, for all callers of that scope.
 * Source: docs/decisions/api/answers-by-revision.md.
 */
import { createHash, randomUUID } from 'node:crypto';
import type { GraphQLSchema } from 'graphql';
import { LRUCache } from 'lru-cache';
import type { Caller } from '../../../core/access/caller.ts';
import { unattended } from '../../../core/last-handler/unattended.ts';
import { canonicalJson } from '../../../core/json/canonical-json.ts';
import { ENVIRONMENTS } from '../../../core/model.ts';
import { answerTextOf } from '../../../core/wire/subgraph/answer-texts.ts';
import type { AnswerInputs } from '../../../core/wire/subgraph/answer-inputs.ts';
import type { SubgraphConnection, SubgraphErrorJson } from '../../../core/wire/subgraph/subgraph.ts';
import type { CheckedOperation, PermittedOperation } from '../checked-operation.ts';
import type { CurrentInputs } from './current-inputs.ts';
import { answerPlans, type Dependencies } from './governed-fields.ts';

/** The most bytes of all kept answers together, and of one. */
const MAX_BYTES = 32 * 1024 * 1024;
const MAX_ANSWER_BYTES = 4 * 1024 * 1024;
/** The approximate bytes that an entry takes beside its answer, key and state. */
const OVERHEAD_BYTES = 400;

/**
 * An operation whose answer revisions govern, for callers of one permission scope who may run it. It holds no document:
 * thousands of calls are kept, and a document takes a hundred times the memory of its text.
 */
export interface GovernedCall {
  /** The variables as the request gives them. */
  readonly given: PermittedOperation['given'];
  /** The most objects that the answer could hold. */
  readonly cost: number;
  readonly text: string;
  readonly operationName: string | undefined;
  readonly scope: Caller;
  readonly dependencies: Dependencies;
  /** The key of the answer in the cache; equal for calls that have the same answer. */
  readonly key: string;
  /** The digest of the supergraph under which it was checked. */
  readonly schema: string;
}

/** An answer without errors. */
export interface TaggedAnswer {
  /** A weak entity tag (RFC 9110, section 8.8.3): equal as long as the answer is. */
  readonly tag: string;
  /** `{"data": …}` in UTF-8, with a line end after it; null where the caller knows the tag. */
  readonly json: Buffer | null;
}

/** The numbers of calls since the start, by how they were answered. */
export interface AnswerCounts {
  /** Calls answered from the kept answers. */
  held: number;
  computed: number;
  /** Calls whose caller had the answer already and got only its tag. */
  unchanged: number;
  /** Calls that were not answered here, because their inputs cannot be read or the answer has errors. */
  passed: number;
}

interface Held {
  readonly state: string;
  readonly tag: string;
  /**
   * The answer. Undefined while it has not been computed; null where it has errors, so that the operation is run each
   * time.
   */
  readonly json: Buffer | null | undefined;
}

/** The codes of refusals that stay the same until the state changes. */
const LASTING: ReadonlySet<unknown> = new Set(['NOT_FOUND', 'BAD_USER_INPUT']);

const lasts = (errors: readonly SubgraphErrorJson[]) =>
  errors.length > 0 && errors.every(({ extensions }) => LASTING.has(extensions?.['code']));

/** The dependencies of the kept answers. */
export interface RevisionAnswersOptions {
  readonly inputs: Pick<CurrentInputs, 'now'>;
  /** The connection to the flags subgraph, which runs the governed operations. */
  readonly flags: Pick<SubgraphConnection, 'execute' | 'answer'>;
  readonly apiSchema: GraphQLSchema;
  /**
   * The supergraph schema. It is part of each tag, because under another schema the same call may have another answer.
   */
  readonly supergraphSdl: string;
  /** The most bytes of all kept answers; 32 MB by default. */
  readonly maxBytes?: number;
}

/** Keeps answers, and computes each once for all callers that request it. */
export class RevisionAnswers {
  readonly counts: AnswerCounts = { held: 0, computed: 0, unchanged: 0, passed: 0 };
  #planOf: ReturnType<typeof answerPlans>;
  #schema: string;
  readonly #held: LRUCache<string, Held>;
  /** The computations under way, with the checks after them, by state and key. */
  readonly #underWay = new Map<string, Promise<Buffer | null | undefined>>();

  constructor(private readonly options: RevisionAnswersOptions) {
    this.#planOf = answerPlans(options.apiSchema);
    this.#schema = digest(options.supergraphSdl);
    this.#held = new LRUCache({
      maxSize: options.maxBytes ?? MAX_BYTES,
      maxEntrySize: MAX_ANSWER_BYTES,
      sizeCalculation: ({ state, json }, key) => OVERHEAD_BYTES + state.length + key.length + (json?.length ?? 0),
    });
  }

  /** Takes another supergraph: calls that were made under the one before, and their answers, count no more. */
  use({ apiSchema, supergraphSdl }: Pick<RevisionAnswersOptions, 'apiSchema' | 'supergraphSdl'>): void {
    this.#planOf = answerPlans(apiSchema);
    this.#schema = digest(supergraphSdl);
  }

  /** Whether a call was made under the supergraph in force. */
  isCurrent({ schema }: GovernedCall): boolean {
    return schema === this.#schema;
  }

  /** The approximate bytes that the kept answers take. */
  get bytes(): number {
    return this.#held.calculatedSize;
  }

  /** The number of computations under way, with the checks of their state after them. */
  get underWay(): number {
    return this.#underWay.size;
  }

  /** Whether revisions may govern the answers to a document. */
  mayGovern({ document }: CheckedOperation): boolean {
    return this.#planOf(document) !== null;
  }

  /** Gives the call in the form that this class answers; null where revisions do not govern its answer. */
  call(
    permitted: PermittedOperation,
    { text, operationName }: { readonly text: string; readonly operationName: string | undefined },
    scope: Caller,
  ): GovernedCall | null {
    const dependencies = this.#planOf(permitted.document)?.(permitted.variables) ?? null;
    if (dependencies === null) return null;
    const { hash, variables, given, cost } = permitted;
    const schema = this.#schema;
    const key = canonicalJson([schema, hash, variables, scope]);
    return { given, cost, text, operationName, scope, dependencies, key, schema };
  }

  /**
   * Reads the state of what the answer to a call depends on, by a read that begins after this call; null where it
   * cannot be read. Never rejects.
   */
  async readState({ dependencies }: GovernedCall): Promise<string | null> {
    const inputs = await this.options.inputs.now(dependencies.vins, dependencies.keys);
    return inputs && stateOf(dependencies, inputs);
  }

  /**
   * Gives the answer to a call in this state, if it is kept or the caller has it; else null.
   *
   * @param state the result of `readState`
   * @param isKnown whether the caller has the answer with this tag
   */
  held(call: GovernedCall, state: string, isKnown: (tag: string) => boolean): TaggedAnswer | null {
    if (!this.isCurrent(call)) return null;
    const { tag, json } = this.#find(call, state);
    if (isKnown(tag)) {
      this.counts.unchanged += 1;
      return { tag, json: null };
    }
    if (json == null) return null;
    this.counts.held += 1;
    return { tag, json };
  }

  /**
   * Gives the answer to a call, at least as new as anything that was committed before this call; null where the
   * operation must be run like any other.
   *
   * @param isKnown whether the caller has the answer with this tag
   * @param turn waits for the turn of the caller's account, and resolves to the function that ends it; called only
   *   for an answer that is not kept
   * @throws what `turn` throws
   */
  async answer(
    call: GovernedCall,
    isKnown: (tag: string) => boolean,
    turn: () => Promise<() => void>,
  ): Promise<TaggedAnswer | null> {
    const state = await this.readState(call);
    if (state === null || !this.isCurrent(call)) return this.#pass();
    const held = this.held(call, state, isKnown);
    if (held !== null) return held;
    const { tag, json: kept } = this.#find(call, state);
    if (kept === null) return this.#pass();
    const endTurn = await turn();
    try {
      const json = await this.#computed(call, state);
      if (json == null) return this.#pass();
      this.counts.computed += 1;
      return { tag, json };
    } finally {
      endTurn();
    }
  }

  #pass(): null {
    this.counts.passed += 1;
    return null;
  }

  #find({ key, schema }: GovernedCall, state: string): Held {
    const held = this.#held.get(key);
    if (held?.state === state) return held;
    const found: Held = { state, tag: `W/"${digest(`${schema}\n${key}\n${state}`)}"`, json: undefined };
    this.#held.set(key, found);
    return found;
  }

  /**
   * Computes the answer, at most once at a time for each call and state. Null and undefined mean the same as in `Held`.
   */
  #computed(call: GovernedCall, state: string): Promise<Buffer | null | undefined> {
    const { json } = this.#find(call, state);
    if (json !== undefined) return Promise.resolve(json);
    const name = `${state}\n${call.key}`;
    let computing = this.#underWay.get(name);
    if (computing === undefined) {
      computing = this.#compute(call);
      this.#underWay.set(name, computing);
      unattended(
        this.#keep(call, state, computing).finally(() => this.#underWay.delete(name)),
        'Keeping an answer',
      );
    }
    return computing;
  }

  /**
   * Keeps an answer if the state after its computation is the same as before. A change in between may be in the answer
   * or not; kept under the earlier state, such an answer would be wrong after a restore to that state.
   */
  async #keep(call: GovernedCall, state: string, computing: Promise<Buffer | null | undefined>): Promise<void> {
    const json = await computing;
    if (json === undefined || (await this.readState(call)) !== state) return;
    this.#held.set(call.key, { ...this.#find(call, state), json });
  }

  /**
   * Runs the operation. Resolves to its answer; to null for a refusal that lasts as long as the state, to undefined for
   * a failure that may soon be over. Never rejects.
   */
  async #compute({ text, operationName, given, scope }: GovernedCall): Promise<Buffer | null | undefined> {
    try {
      const { flags } = this.options;
      // The flags subgraph answers every governed field itself, so the client's own document is its query plan.
      const request = {
        query: text,
        operationName,
        variables: given,
        identity: { caller: scope, origin: { ipAddress: null, userAgent: null, requestId: randomUUID() } },
      };
      const { json, response } = (await flags.answer?.(request)) ?? answerTextOf(await flags.execute(request));
      if (json !== undefined) return json;
      // A refusal that the subgraph gives from its own memory may be older than the state that was just read, so it is
      // not kept under that state.
      return response.extensions?.remembered !== true && lasts(response.errors ?? []) ? null : undefined;
    } catch {
      // Apollo Server will run the operation and report which subgraph does not answer.
      return undefined;
    }
  }
}

function stateOf({ environments, vins, keys, isDated }: Dependencies, inputs: AnswerInputs): string {
  const lines = [
    ...(environments ?? ENVIRONMENTS).map((name) => inputs.environments.get(name) ?? ''),
    ...vins.map((vin) => inputs.vehicles.get(vin) ?? ''),
    ...keys.map((key) => inputs.flags.get(key) ?? ''),
  ];
  return isDated ? `${lines.join('\n')}\n${inputs.second}` : lines.join('\n');
}

function digest(text: string): string {
  return createHash('sha256').update(text).digest('base64url');
}
