/**
 * Calls between the primary process and a worker, over Node's channel between them. The calls and answers of one turn
 * of the event loop travel in one message, because each message costs as much as a hundred calls in it.
 */
import { unattended } from '../../core/last-handler/unattended.ts';
import { isCount, isObject } from '../../core/json/json-value.ts';

/** The methods that one side offers, by name. Arguments and results are JSON, which the receiver checks. */
export type Methods = Readonly<Record<string, (...args: readonly unknown[]) => unknown>>;

/** One end of Node's channel: `process` in a worker, `worker` in the primary process. */
export interface ChannelEnd {
  send(message: object): unknown;
  on(event: 'message', listener: (message: unknown) => void): unknown;
}

type Call = readonly [id: number, method: string, args: readonly unknown[]];
type Answer = readonly [id: number, fault: string | null, value: unknown];

interface Pending {
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: Error) => void;
}

function isCall(value: unknown): value is Call {
  return (
    Array.isArray(value) && typeof value[0] === 'number' && typeof value[1] === 'string' && Array.isArray(value[2])
  );
}

function isAnswer(value: unknown): value is Answer {
  return Array.isArray(value) && typeof value[0] === 'number' && (value[1] === null || typeof value[1] === 'string');
}

/** Gives a string that the other end has sent. Throws an Error where it is none. */
export function sentString(value: unknown): string {
  if (typeof value !== 'string') throw new Error('A call between processes has no string where it needs one.');
  return value;
}

/** Gives a whole number, 0 or more, that the other end has sent. Throws an Error where it is none. */
export function sentCount(value: unknown): number {
  if (!isCount(value)) throw new Error('A call between processes has no number where it needs one.');
  return value;
}

/** Calls methods at the other end, and answers its calls. */
export class ProcessChannel {
  readonly #pending = new Map<number, Pending>();
  #calls: Call[] = [];
  #answers: Answer[] = [];
  #count = 0;
  #closed = false;

  constructor(
    private readonly end: ChannelEnd,
    private readonly methods: Methods,
  ) {
    end.on('message', (message) => this.#receive(message));
  }

  /**
   * Calls a method at the other end.
   *
   * @throws Error with the other end's message, or when the channel closes before the answer
   */
  call(method: string, ...args: readonly unknown[]): Promise<unknown> {
    return new Promise((resolve, reject) => {
      if (this.#closed) {
        reject(new Error('The channel between the processes is closed.'));
        return;
      }
      const id = ++this.#count;
      this.#pending.set(id, { resolve, reject });
      this.#schedule();
      this.#calls.push([id, method, args]);
    });
  }

  /** Rejects the calls that have no answer yet, and all further ones, and ignores calls of the other end. */
  close(): void {
    this.#closed = true;
    for (const { reject } of this.#pending.values())
      reject(new Error('The channel between the processes closed before the answer.'));
    this.#pending.clear();
  }

  #schedule(): void {
    if (this.#calls.length === 0 && this.#answers.length === 0) setImmediate(() => this.#send());
  }

  #send(): void {
    const [calls, answers] = [this.#calls, this.#answers];
    [this.#calls, this.#answers] = [[], []];
    if (!this.#closed) this.end.send({ calls, answers });
  }

  #receive(message: unknown): void {
    // A message may arrive after its sender has ended. Places that it borrows then would never be given back.
    if (this.#closed || !isObject(message)) return;
    const { calls, answers } = message;
    for (const answer of Array.isArray(answers) ? answers.filter(isAnswer) : []) {
      const [id, fault, value] = answer;
      const pending = this.#pending.get(id);
      this.#pending.delete(id);
      if (fault === null) pending?.resolve(value);
      else pending?.reject(new Error(fault));
    }
    for (const call of Array.isArray(calls) ? calls.filter(isCall) : [])
      unattended(this.#answer(call), 'Answering a call of another process');
  }

  async #answer([id, method, args]: Call): Promise<void> {
    let answer: Answer;
    try {
      if (!Object.hasOwn(this.methods, method)) throw new Error(`The other process offers no ${method}.`);
      answer = [id, null, await this.methods[method]?.(...args)];
    } catch (error) {
      answer = [id, error instanceof Error ? error.message : String(error), null];
    }
    this.#schedule();
    this.#answers.push(answer);
  }
}
