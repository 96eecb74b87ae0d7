/** Emits events to any number of iterators, each from its creation on. */
export class EventSource<T> {
  private readonly followers = new Set<{ put(event: T): void; finish(error?: Error): void }>();

  /** The number of open iterators. */
  get open(): number {
    return this.followers.size;
  }

  emit(event: T): void {
    for (const follower of [...this.followers]) follower.put(event);
  }

  /** Ends all iterators: normally, or with `error`. */
  finish(error?: Error): void {
    for (const follower of [...this.followers]) follower.finish(error);
  }

  iterate(wanted: (event: T) => boolean): AsyncIterableIterator<T> {
    const queue: T[] = [];
    let over = false;
    let failure: Error | undefined;
    let wake: (() => void) | undefined;
    const follower = {
      put: (event: T) => {
        if (!wanted(event)) return;
        queue.push(event);
        wake?.();
      },
      finish: (error?: Error) => {
        over = true;
        failure = error;
        this.followers.delete(follower);
        wake?.();
      },
    };
    this.followers.add(follower);
    return {
      [Symbol.asyncIterator]() {
        return this;
      },
      async next() {
        while (queue.length === 0 && !over) await new Promise<void>((resolve) => (wake = resolve));
        const event = queue.shift();
        if (event !== undefined) return { value: event, done: false };
        if (failure !== undefined) throw failure;
        return { value: undefined, done: true };
      },
      return() {
        follower.finish();
        return Promise.resolve({ value: undefined, done: true });
      },
    };
  }
}
