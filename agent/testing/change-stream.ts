import type { ChangeMessage } from './wire-messages.ts';

/** A queue from which a subscription reads until either side ends it. */
export class ChangeStream implements AsyncIterableIterator<{ flagChanges: ChangeMessage }> {
  readonly #queue: ChangeMessage[] = [];
  #wake: (() => void) | null = null;
  #ended = false;

  constructor(private readonly onEnd: () => void) {}

  push(message: ChangeMessage): void {
    this.#queue.push(message);
    this.#wake?.();
  }

  end(): void {
    this.#ended = true;
    this.onEnd();
    this.#wake?.();
  }

  async next(): Promise<IteratorResult<{ flagChanges: ChangeMessage }>> {
    while (this.#queue.length === 0 && !this.#ended) await new Promise<void>((resolve) => (this.#wake = resolve));
    const message = this.#queue.shift();
    return message === undefined ? { done: true, value: undefined } : { done: false, value: { flagChanges: message } };
  }

  async return(): Promise<IteratorResult<{ flagChanges: ChangeMessage }>> {
    this.end();
    return { done: true, value: undefined };
  }

  [Symbol.asyncIterator](): this {
    return this;
  }
}
