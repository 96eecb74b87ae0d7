import { setTimeout as pause } from 'node:timers/promises';

/** The way to close: after the announced end has been visible for a while, or at once. */
export type Ending = 'announced' | 'at once';

/** Closes what was opened, in the opposite order, even when a step fails. */
export class Lifecycle {
  readonly #steps: (() => Promise<unknown>)[] = [];
  #closed: Promise<void> | undefined;
  #announcedMs = 0;
  #isEnding = false;

  /** Whether it has begun to close: the process is no longer ready, though it still answers. */
  get isEnding(): boolean {
    return this.#isEnding;
  }

  /**
   * Makes `close` wait before it closes anything, so that a load balancer sees that the process is no longer ready and
   * sends nothing new.
   *
   * @param ms milliseconds
   */
  announceFor(ms: number): void {
    this.#announcedMs = ms;
  }

  /** Registers the function that closes what has just been opened. */
  onClose(step: () => Promise<unknown>): void {
    this.#steps.push(step);
  }

  /**
   * Closes everything, the newest first. A step that fails does not keep the others from closing; the first failure is
   * thrown at the end.
   */
  close(ending: Ending = 'announced'): Promise<void> {
    this.#isEnding = true;
    return (this.#closed ??= this.#closeAll(ending === 'announced' ? this.#announcedMs : 0));
  }

  async #closeAll(announcedMs: number): Promise<void> {
    if (announcedMs > 0) await pause(announcedMs);
    const failures: unknown[] = [];
    for (const step of this.#steps.reverse()) {
      try {
        await step();
      } catch (error) {
        failures.push(error);
      }
    }
    if (failures.length > 0) throw failures[0];
  }
}

/**
 * Opens things one after another and registers in `lifecycle` how to close them. If one of them fails, closes those
 * before it.
 */
export async function openAll<T>(open: (lifecycle: Lifecycle) => Promise<T>): Promise<T> {
  const lifecycle = new Lifecycle();
  try {
    return await open(lifecycle);
  } catch (error) {
    // The first error explains why nothing opened; an error while closing would only hide it.
    await lifecycle.close().catch(() => undefined);
    throw error;
  }
}

/**
 * Opens independent things at once. Waits for all of them even if one fails, so that each has registered its closing
 * before the failure is thrown.
 */
export async function together<T extends readonly unknown[]>(tasks: {
  readonly [K in keyof T]: Promise<T[K]>;
}): Promise<T> {
  const results = await Promise.allSettled(tasks);
  const failed = results.find((result) => result.status === 'rejected');
  if (failed !== undefined) throw failed.reason;
  return Promise.all(tasks);
}
