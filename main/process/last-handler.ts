/**
 * The last handler of a long-running command. It logs and counts failures that nothing else has caught. After a
 * rejection the process continues; after an exception it ends in order and says so
 * (docs/decisions/processes/last-handler.md).
 */
import { UNFORESEEN, processGoesOn, type Unforeseen } from '../../core/last-handler/unforeseen.ts';

/** The dependencies of the last handler. */
export interface LastHandlerOptions {
  readonly log: { fatal(fields: object, message: string): void; error(fields: object, message: string): void };
  /** Ends the process in order, with an exit code for failure. Called at most once. */
  readonly end: () => void;
}

/** The number of uncaught failures of each kind. */
export type UnforeseenCounts = Readonly<Record<Unforeseen, number>>;

/** The part of `process` on which it listens. */
interface Emitter {
  on(event: string, listener: (error: unknown) => void): unknown;
}

/** Handles uncaught exceptions and rejections. */
export class LastHandler {
  readonly #counts: Record<Unforeseen, number> = { unhandledRejection: 0, uncaughtException: 0 };
  #ending = false;

  constructor(private readonly options: LastHandlerOptions) {}

  /** The failures since the start, for Prometheus. */
  get counts(): UnforeseenCounts {
    return this.#counts;
  }

  /** Starts listening. */
  listen(to: Emitter): void {
    for (const kind of UNFORESEEN) to.on(kind, (error: unknown) => this.#handle(kind, error));
  }

  #handle(kind: Unforeseen, error: unknown): void {
    const count = (this.#counts[kind] += 1);
    const fields = { err: error instanceof Error ? error : new Error(String(error)), kind, count };
    const { log, end } = this.options;
    if (processGoesOn(kind, error)) return log.error(fields, 'Unhandled failure; the process goes on');
    log.fatal(
      fields,
      this.#ending
        ? 'Another uncaught exception; the process is stopping already'
        : 'Uncaught exception; the process shuts down in order',
    );
    if (this.#ending) return;
    this.#ending = true;
    end();
  }
}
