/** What a program in the vehicle may listen to. A listener that fails is logged, and keeps the agent from nothing. */
import { EventEmitter } from 'node:events';
import { describeError, type Log } from './log.ts';

/** A flag that has another definition now, or has gone. */
export interface FlagChange {
  readonly key: string;
  readonly revision: number;
  readonly removed: boolean;
}

export class AgentEvents {
  readonly #emitter = new EventEmitter<{ change: [FlagChange]; contact: [boolean]; close: [] }>();

  constructor(private readonly log: Log) {}

  /** Calls `listener` for each flag that changes. Returns a function that ends it. */
  onChange(listener: (change: FlagChange) => void): () => void {
    const guarded = this.#guarded('change', listener);
    this.#emitter.on('change', guarded);
    return () => void this.#emitter.off('change', guarded);
  }

  /** Calls `listener` with whether the agent is in touch, each time that changes. Returns a function that ends it. */
  onContact(listener: (inTouch: boolean) => void): () => void {
    const guarded = this.#guarded('contact', listener);
    this.#emitter.on('contact', guarded);
    return () => void this.#emitter.off('contact', guarded);
  }

  /** Calls `listener` when the agent is closed. Returns a function that ends it. */
  onClose(listener: () => void): () => void {
    const guarded = this.#guarded('close', listener);
    this.#emitter.on('close', guarded);
    return () => void this.#emitter.off('close', guarded);
  }

  changed(change: FlagChange): void {
    this.#emitter.emit('change', change);
  }

  contact(inTouch: boolean): void {
    this.#emitter.emit('contact', inTouch);
  }

  closed(): void {
    this.#emitter.emit('close');
  }

  /** Ends all listening. */
  end(): void {
    this.#emitter.removeAllListeners();
  }

  #guarded<News extends unknown[]>(event: string, listener: (...news: News) => void): (...news: News) => void {
    return (...news) => {
      try {
        listener(...news);
      } catch (error) {
        // A program's fault must not keep the vehicle from its next change.
        this.log('error', `a ${event} listener failed: ${describeError(error)}`);
      }
    };
  }
}
