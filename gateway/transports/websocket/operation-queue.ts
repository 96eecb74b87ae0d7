/**
 * Lets the queries and mutations of websockets begin one after the other, with a turn of the event loop between two.
 * Hundreds of vehicles may ask at once, and a full batch of measurements takes some 20 ms to be read and checked: begun
 * all at once they would keep an operator's kill switch waiting for seconds (docs/decisions/turns.md).
 */
import { OperationTypeNode, type DocumentNode, type OperationDefinitionNode } from 'graphql';
import Queue from 'yocto-queue';
import { unattended } from '../../../core/async/unattended.ts';
import { FleetFlagError } from '../../../core/errors.ts';
import type { Caller } from '../../../core/access/caller.ts';
import { isKillSwitch } from '../../operations/turns/kill-switch-operation.ts';
import type { RightOfWay } from '../../operations/turns/right-of-way.ts';

/** Seconds that one who is turned away is asked to wait. Agents spread it over as long again. */
const RETRY_AFTER = 5;

/**
 * When it is the turn of an operation: a kill switch goes before everything else, and what nobody waits for after it.
 */
export type OperationPriority = 'first' | 'soon' | 'later';

export interface Urgency {
  readonly turn: OperationPriority;
  /** Whether it is run though its client has gone: what a person changes is changed. */
  readonly isKept: boolean;
}

/**
 * How urgent a query or mutation is. What a vehicle reports can wait; what it asks for, and what people want, less so.
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

  /** How many wait. */
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
          retryAfter: RETRY_AFTER,
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

  /** The next in order. What has to give way is looked at again when the way is clear. */
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
