/**
 * Answers that revisions govern, kept as bytes: computed once for each document, variables, permission scope and state
 * of what they depend on, for all callers of the scope. docs/decisions/answers-by-revision.md
 */
import { createHash, randomUUID } from 'node:crypto';
import type { GraphQLSchema } from 'graphql';
import { LRUCache } from 'lru-cache';
import type { Caller } from '../../../core/access/caller.ts';
import { unattended } from '../../../core/async/unattended.ts';
import { canonicalJson } from '../../../core/json/canonical-json.ts';
import { ENVIRONMENTS } from '../../../core/model.ts';
import type { AnswerInputs } from '../../../core/wire/answer-inputs.ts';
import type { SubgraphConnection, SubgraphErrorJson } from '../../../core/wire/subgraph.ts';
import type { CheckedOperation, PermittedOperation } from '../pipeline.ts';
import type { CurrentInputs } from './current-inputs.ts';
import { answerPlans, type Dependencies } from './governed-fields.ts';

/** The most bytes of all kept answers, and of one. */
const MAX_BYTES = 32 * 1024 * 1024;
const MAX_ANSWER_BYTES = 4 * 1024 * 1024;
/** What an answer takes beside its bytes and names, about. */
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
  /** The same for calls with the same answer. */
  readonly key: string;
}

/** An answer without errors. */
export interface Answer {
  /** The same as long as the answer is (RFC 9110, section 8.8.3): a weak entity tag. */
  readonly tag: string;
  /** `{"data": …}` in UTF-8, with a line end after it; null where the caller knows the tag. */
  readonly json: Buffer | null;
}

/** How calls have been answered since the start. */
export interface AnswerCounts {
  /** From those that are kept. */
  held: number;
  computed: number;
  /** With the tag alone. */
  unchanged: number;
  /** Not here: their inputs cannot be read, or the answer has errors. */
  passed: number;
}

interface Held {
  readonly state: string;
  readonly tag: string;
  /** Undefined: not computed yet. Null: it has errors, and is run each time. */
  readonly json: Buffer | null | undefined;
}

/** Codes of refusals that stay until the state changes. */
const LASTING: ReadonlySet<unknown> = new Set(['NOT_FOUND', 'BAD_USER_INPUT']);

const lasts = (errors: readonly SubgraphErrorJson[]) =>
  errors.length > 0 && errors.every(({ extensions }) => LASTING.has(extensions?.['code']));

export interface RevisionAnswersOptions {
  readonly inputs: Pick<CurrentInputs, 'now'>;
  /** Runs what revisions govern. */
  readonly flags: Pick<SubgraphConnection, 'execute'>;
  readonly apiSchema: GraphQLSchema;
  /** Another one may answer otherwise to the same. */
  readonly supergraphSdl: string;
  /** 32 MB by default. */
  readonly maxBytes?: number;
}

export class RevisionAnswers {
  readonly counts: AnswerCounts = { held: 0, computed: 0, unchanged: 0, passed: 0 };
  readonly #planOf: ReturnType<typeof answerPlans>;
  readonly #schema: string;
  readonly #held: LRUCache<string, Held>;
  /** Computations, and the checks after them, by state and key. */
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

  /** Bytes that the answers take, about. */
  get bytes(): number {
    return this.#held.calculatedSize;
  }

  /** How many computations are under way, with the checks of their state after them. */
  get underWay(): number {
    return this.#underWay.size;
  }

  /** Whether revisions may govern the answers to a document. */
  mayGovern({ document }: CheckedOperation): boolean {
    return this.#planOf(document) !== null;
  }

  /** The call in the form in which it is answered here; null where revisions do not govern its answer. */
  call(
    permitted: PermittedOperation,
    { text, operationName }: { readonly text: string; readonly operationName: string | undefined },
    scope: Caller,
  ): GovernedCall | null {
    const dependencies = this.#planOf(permitted.document)?.(permitted.variables) ?? null;
    if (dependencies === null) return null;
    const { hash, variables, given, cost } = permitted;
    return { given, cost, text, operationName, scope, dependencies, key: canonicalJson([hash, variables, scope]) };
  }

  /**
   * The answer to a call, at least as new as anything that was committed before this; null where the operation has to
   * be run as all others are.
   *
   * @param isKnown whether the caller has the answer with this tag
   * @param turn waits for the caller's turn, and gives its end; only for an answer that is not kept
   * @throws what `turn` throws
   */
  async answer(
    call: GovernedCall,
    isKnown: (tag: string) => boolean,
    turn: () => Promise<() => void>,
  ): Promise<Answer | null> {
    const state = await this.#state(call);
    if (state === null) return this.#pass();
    const { tag, json: kept } = this.#find(call, state);
    if (isKnown(tag)) {
      this.counts.unchanged += 1;
      return { tag, json: null };
    }
    if (kept === null) return this.#pass();
    if (kept !== undefined) {
      this.counts.held += 1;
      return { tag, json: kept };
    }
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

  async #state({ dependencies }: GovernedCall): Promise<string | null> {
    const inputs = await this.options.inputs.now(dependencies.vins, dependencies.keys);
    return inputs && stateOf(dependencies, inputs);
  }

  #find({ key }: GovernedCall, state: string): Held {
    const held = this.#held.get(key);
    if (held?.state === state) return held;
    const found: Held = { state, tag: `W/"${digest(`${this.#schema}\n${key}\n${state}`)}"`, json: undefined };
    this.#held.set(key, found);
    return found;
  }

  /** One computation at a time for each call and state; null and undefined as in `Held`. */
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
   * Keeps an answer whose state is the same after it was computed as before: a change in between may be in it or not.
   * Under the state before it would be right now, and wrong after a restore to just that state.
   */
  async #keep(call: GovernedCall, state: string, computing: Promise<Buffer | null | undefined>): Promise<void> {
    const json = await computing;
    if (json === undefined || (await this.#state(call)) !== state) return;
    this.#held.set(call.key, { ...this.#find(call, state), json });
  }

  /** The answer; null where it is a refusal that stays, undefined where it says nothing for long. Never rejects. */
  async #compute({ text, operationName, given, scope }: GovernedCall): Promise<Buffer | null | undefined> {
    try {
      // The flags subgraph answers every governed field itself, so the client's own document is its query plan.
      const {
        data,
        errors = [],
        extensions,
      } = await this.options.flags.execute({
        query: text,
        operationName,
        variables: given,
        identity: { caller: scope, origin: { ipAddress: null, userAgent: null, requestId: randomUUID() } },
      });
      // What the subgraph remembers may be older than the state, which was read, and would be kept under it.
      if (extensions?.remembered === true) return undefined;
      if (errors.length > 0 || data == null) return lasts(errors) ? null : undefined;
      return Buffer.from(`${JSON.stringify({ data })}\n`);
    } catch {
      // Run as all others are, it says what is away.
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
