/**
 * The events that a program in the vehicle can listen to. A listener that throws is logged and does not stop the agent.
 */
import { EventEmitter } from 'node:events';
import { describeError, type Log } from '../log.ts';

/** A change of a flag: it has a new definition, or was removed. */
export interface FlagChange {
  readonly key: string;
  readonly revision: number;
  readonly removed: boolean;
}

/** Emits the agent's events to listeners. */
export class AgentEvents {
  readonly #emitter = new EventEmitter<{ change: [FlagChange]; contact: [boolean]; close: [] }>();

  constructor(private readonly log: Log) {}

  /** Calls `listener` for each flag that changes. Returns a function that removes the listener. */
  onChange(listener: (change: FlagChange) => void): () => void {
    const guarded = this.#guarded('change', listener);
    this.#emitter.on('change', guarded);
    return () => void this.#emitter.off('change', guarded);
  }

  /** Calls `listener` each time the agent comes into or loses touch. Returns a function that removes the listener. */
  onContact(listener: (inTouch: boolean) => void): () => void {
    const guarded = this.#guarded('contact', listener);
    this.#emitter.on('contact', guarded);
    return () => void this.#emitter.off('contact', guarded);
  }

  /** Calls `listener` when the agent is closed. Returns a function that removes the listener. */
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

  /** Removes all listeners. */
  end(): void {
    this.#emitter.removeAllListeners();
  }

  #guarded<Args extends unknown[]>(event: string, listener: (...args: Args) => void): (...args: Args) => void {
    return (...args) => {
      try {
        listener(...args);
      } catch (error) {
        // A faulty listener must not stop the agent from applying the next change.
        this.log('error', `a ${event} listener failed: ${describeError(error)}`);
      }
    };
  }
}
