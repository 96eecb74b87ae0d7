/**
 * Lets the queries and mutations of websockets begin one after the other, with a turn of the event loop between two.
 * Hundreds of vehicles may ask at once, and a full batch of measurements takes some 20 ms to be read and checked: begun
 * all at once they would keep an operator's kill switch waiting for seconds (docs/decisions/streams/turns.md).
 */
import { OperationTypeNode, type DocumentNode, type OperationDefinitionNode } from 'graphql';
import Queue from 'yocto-queue';
import { unattended } from '../../../../core/last-handler/unattended.ts';
import { FleetFlagError } from '../../../../core/errors.ts';
import type { Caller } from '../../../../core/access/caller.ts';
import { isKillSwitch } from '../../../operations/turns/kill-switch-operation.ts';
import type { RightOfWay } from '../../../operations/turns/right-of-way.ts';

/** The seconds after which a refused vehicle is asked to retry. Agents spread it over up to twice as long. */
const RETRY_AFTER_SECONDS = 5;

/** The order in which operations run: kill switches first, and operations that nobody waits for last. */
export type OperationPriority = 'first' | 'soon' | 'later';

/** The urgency of an operation: its turn, and whether it outlives its client. */
export interface Urgency {
  readonly turn: OperationPriority;
  /** Whether the operation runs even after its client has disconnected, as a person's changes do. */
  readonly isKept: boolean;
}

/**
 * Gives the urgency of a query or mutation. Vehicles' reports can wait longer than their queries and people's
 * operations.
 */
export function urgencyOf(
  document: DocumentNode,
  operation: OperationDefinitionNode,
  variables: Readonly<Record<string, unknown>>,
  caller: Caller,
): Urgency {
  if (operation.operation !== OperationTypeNode.MUTATION) return { turn: 'soon', isKept: false };
  if (caller.kind === 'vehicle') return { turn: 'later', isKept: false };
  return { turn: isKillSwitch(document, operation, variables) ? 'first' : 'soon', isKept: true };
}

/** Begins operations in the order of their urgency. */
export class OperationQueue {
  readonly #first = new Queue<() => void>();
  readonly #soon = new Queue<() => void>();
  readonly #later = new Queue<() => void>();
  #running = false;
  #held = false;

  /**
   * @param maxLater that may wait for a later turn: each holds its variables
   * @param way while a kill switch has it nothing else begins
   */
  constructor(
    private readonly maxLater: number,
    private readonly way: RightOfWay,
  ) {}

  /** The number of waiting operations. */
  get waiting(): number {
    return this.#first.size + this.#soon.size + this.#later.size;
  }

  /**
   * Resolves when it is their turn.
   *
   * @throws SERVICE_UNAVAILABLE with `retryAfter` where too many wait for a later turn
   */
  take(turn: OperationPriority): Promise<void> {
    if (turn === 'later' && this.#later.size >= this.maxLater) {
      throw new FleetFlagError(
        'SERVICE_UNAVAILABLE',
        'Too many operations are waiting on this socket; a retry is safe.',
        {
          retryAfter: RETRY_AFTER_SECONDS,
        },
      );
    }
    return new Promise((resolve) => {
      const queue = { first: this.#first, soon: this.#soon, later: this.#later }[turn];
      queue.enqueue(resolve);
      this.#start();
    });
  }

  #start(): void {
    if (this.#running) return;
    this.#running = true;
    setImmediate(this.#next);
  }

  /** The next in order. An operation that has to give way is checked again when the way is clear. */
  #dequeue(): (() => void) | undefined {
    const first = this.#first.dequeue();
    if (first !== undefined || !this.way.isTaken) return first ?? this.#soon.dequeue() ?? this.#later.dequeue();
    if (this.waiting > 0 && !this.#held) {
      this.#held = true;
      const resumed = this.way.clear().then(() => {
        this.#held = false;
        this.#start();
      });
      unattended(resumed, 'Continuing after a kill switch');
    }
    return undefined;
  }

  readonly #next = (): void => {
    const begin = this.#dequeue();
    this.#running = begin !== undefined;
    if (begin === undefined) return;
    begin();
    setImmediate(this.#next);
  };
}
