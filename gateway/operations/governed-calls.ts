/** Steps 4 to 6 of queries whose answers revisions govern, kept for the callers and variables that have passed them. */
import { LRUCache } from 'lru-cache';
import { permissionScope, type Caller } from '../../core/access/caller.ts';
import type { GovernedCall, RevisionAnswers } from './answers/revision-answers.ts';
import type { CheckedOperation, PermittedOperation, SentOperation } from './checked-operation.ts';

/** The most characters of all kept calls together, and of one, with the texts of their documents. */
const MAX_CALLS_LENGTH = 8 * 1024 * 1024;
const MAX_CALL_LENGTH = 64 * 1024;
/** The approximate bytes that a call takes beside its name and variables. */
const CALL_OVERHEAD = 600;

/** The steps of the pipeline that a call passes before it is kept. */
interface CallSteps {
  check(text: string, operationName: string | undefined, caller: Caller): CheckedOperation;
  permit(checked: CheckedOperation, given: Readonly<Record<string, unknown>>, caller: Caller): PermittedOperation;
}

/** Keeps the calls of queries that revisions govern. */
export class GovernedCalls {
  readonly #steps: CallSteps;
  readonly #answers: RevisionAnswers;
  /**
   * The governed calls that callers of a scope may make, by scope, document, operation and variables as they were sent.
   */
  readonly #calls = new LRUCache<string, GovernedCall>({
    maxSize: MAX_CALLS_LENGTH,
    maxEntrySize: MAX_CALL_LENGTH,
    // The variables are held three times: as text, as values, and in the key.
    sizeCalculation: ({ text }, name) => CALL_OVERHEAD + 3 * name.length + text.length,
  });

  /** The governed call of each `SentOperation`. A transport that recognises a request passes the same object again. */
  readonly #lastCalls = new WeakMap<SentOperation, { readonly scopeText: string; readonly call: GovernedCall }>();

  constructor(steps: CallSteps, answers: RevisionAnswers) {
    this.#steps = steps;
    this.#answers = answers;
  }

  /** Gives the call of an operation; null for one that is not governed, and for one that a step refuses. */
  find(sent: SentOperation, caller: Caller): GovernedCall | null {
    const answers = this.#answers;
    const { text, operationName, variables } = sent;
    const scope = permissionScope(caller);
    const scopeText = JSON.stringify(scope);
    const last = this.#lastCalls.get(sent);
    if (last?.scopeText === scopeText && answers.isCurrent(last.call)) return last.call;
    try {
      const checked = this.#steps.check(text, operationName, caller);
      if (!answers.mayGovern(checked)) return null;
      const name = [checked.hash, operationName ?? '', scopeText, variables.text()].join('\n');
      let call: GovernedCall | null | undefined = this.#calls.get(name);
      if (call === undefined || (call !== null && !answers.isCurrent(call))) {
        const permitted = this.#steps.permit(checked, variables.value(), caller);
        call = answers.call(permitted, { text, operationName }, scope);
        if (call !== null) this.#calls.set(name, call);
      }
      if (call !== null) this.#lastCalls.set(sent, { scopeText, call });
      return call;
    } catch {
      return null;
    }
  }
}
