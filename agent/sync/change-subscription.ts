/**
 * The subscription to changes of one link. When the gateway ends it, it is opened again on the same link: that is how a
 * gateway says that the vehicle may have another partition. It also knows which operations the control plane knows.
 */
import { RequestRefused } from '../link/gateway-link.ts';
import { Alarm } from '../link/alarm.ts';
import {
  FORMER_OPERATIONS,
  OPERATIONS,
  environmentVariable,
  readChangeEvent,
  type ChangeEvent,
  type FlagOperations,
} from '../link/operations.ts';
import { boundPartition } from '../trust/binding.ts';
import { Refusal, asRefusal } from '../trust/refusals.ts';
import type { SyncSessionOptions } from './sync-session-options.ts';

/** The most times within `ENDS_WITHIN_MS` that the gateway may end the subscription. After more, the link is closed. */
const MAX_ENDS = 5;
const ENDS_WITHIN_MS = 60_000;

/** The options of a subscription: those of its session, and what it calls. */
export interface ChangeSubscriptionOptions extends Pick<
  SyncSessionOptions,
  'link' | 'state' | 'log' | 'refuse' | 'freshness' | 'backoff'
> {
  readonly changed: (event: ChangeEvent) => void;
  /** Called after an event that could not be read. */
  readonly missed: () => void;
  /** Schedules a sync within `milliseconds`. */
  readonly syncWithin: (milliseconds: number) => void;
}

/** Subscribes to the changes of the vehicle's partition for as long as the link lasts. */
export class ChangeSubscription {
  readonly #options: ChangeSubscriptionOptions;
  #isFormer = false;
  /** The milliseconds of the monotonic clock at which the gateway has ended the subscription, in the last minute. */
  #ends: number[] = [];
  /** The time at which the subscription is opened again. */
  readonly #reopening = new Alarm(() => this.#openAgain());

  constructor(options: ChangeSubscriptionOptions) {
    this.#options = options;
  }

  /** Whether the control plane of this link is older than partitions. */
  get isFormer(): boolean {
    return this.#isFormer;
  }

  /** The operations that the control plane of this link knows. */
  get operations(): FlagOperations {
    return this.#isFormer ? FORMER_OPERATIONS : OPERATIONS;
  }

  open(): void {
    const { link, state, changed, missed, refuse } = this.#options;
    const { environment } = state().identity;
    link.subscribe(
      this.operations.changes,
      { environment: environmentVariable(environment) },
      (result) => {
        try {
          if (result.errors !== undefined)
            throw new Refusal('malformed', 'change', { cause: new Error(result.errors[0]?.message) });
          changed(readChangeEvent(result.data, environment));
        } catch (error) {
          refuse(asRefusal(error, 'change'));
          missed();
        }
      },
      (refusal) => this.#ended(refusal),
    );
  }

  /** Stops opening the subscription again. */
  close(): void {
    this.#reopening.cancel();
  }

  /**
   * Switches to the operations of older agents where `error` comes from a control plane that does not know the newer
   * ones. Gives whether it did.
   */
  switchesToFormer(error: unknown): boolean {
    const isUnknown = error instanceof RequestRefused && error.isUnknownOperation;
    return isUnknown && !this.#isFormer && this.#useFormer();
  }

  /** Handles the end of the subscription by the gateway. Gives whether the link goes on. */
  #ended(refusal: RequestRefused | null): boolean {
    const { log, freshness, backoff, state, syncWithin } = this.#options;
    if (refusal?.isUnknownOperation === true && !this.#isFormer) {
      if (this.#useFormer()) this.#openAgain();
      else this.#reopening.set(backoff.next());
      return true;
    }
    if (refusal !== null) return false;
    const now = performance.now();
    this.#ends = [...this.#ends.filter((at) => now - at < ENDS_WITHIN_MS), now];
    if (this.#ends.length > MAX_ENDS) return false;
    log('info', 'the gateway has ended the subscription to changes; subscribing again');
    this.open();
    if (state().assignment !== null) freshness.assignment.hint();
    const { waitMs } = freshness.assignment;
    // Without a nonce, the proof of an ordinary sync shows whether the partition is still the same.
    syncWithin(this.#isFormer || waitMs === Infinity ? 0 : waitMs);
    return true;
  }

  #openAgain(): void {
    this.#reopening.cancel();
    this.open();
    this.#options.syncWithin(0);
  }

  /**
   * Handles a control plane that knows no partitions. Gives whether its operations are used now: a vehicle with an
   * assignment keeps to it, because a proof without a partition could be one of any.
   */
  #useFormer(): boolean {
    const { log, state } = this.#options;
    const partition = boundPartition(state());
    if (partition === null)
      log('info', 'the control plane knows no partitions yet; using the operations of older agents');
    else
      log(
        'warn',
        `the control plane does not know partitions, perhaps because an earlier version of it was restored; keeping the flags of partition ${JSON.stringify(partition)} without a new proof, and asking again`,
      );
    this.#isFormer = partition === null;
    return this.#isFormer;
  }
}
