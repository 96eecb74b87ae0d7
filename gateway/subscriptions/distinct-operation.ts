/**
 * A distinct operation: all clients with the same subscription share one execution for each event, in order, and the
 * same frames.
 */
import type { GraphQLFormattedError } from 'graphql';
import { unattended } from '../../core/last-handler/unattended.ts';
import type { SubgraphResponse } from '../../core/wire/subgraph/subgraph.ts';
import type { FanOutTurns } from './fan-out-turns.ts';
import { FrameBatch } from './next-frames.ts';

/** A client as a member of a distinct operation. */
export interface Member {
  /** The number of the last event that it does not get (again). Only the operation changes it. */
  joinedAt: number;
  /** Writes the frames to the client, or drops the client when it cannot keep up. Must not throw. */
  deliver(batch: FrameBatch): void;
  /** Ends the client's operation with `errors`. */
  refuse(errors: readonly GraphQLFormattedError[]): void;
  complete(): void;
}

/** The options of a distinct operation. */
export interface DistinctOperationOptions {
  /** Resolves to the result of an event as JSON in UTF-8. Must not reject. */
  execute(event: SubgraphResponse): Promise<Buffer>;
  /** Called when too many events wait. */
  overflow(): void;
  /**
   * Called when a change has been written to all members.
   *
   * @param changedAtMs milliseconds since 1970 of the change
   */
  delivered?(changedAtMs: number): void;
  /** Whether a client that has missed events notices it by the next one, and requests what it missed. */
  readonly isSkippable: boolean;
  /** The turns of the event loop that all operations share. */
  readonly turns: FanOutTurns;
  /** Limits of SubscriptionLimits, in milliseconds, bytes and events. */
  readonly limits: {
    readonly flushWindowMs: number;
    readonly batchBytes: number;
    readonly maxQueuedEvents: number;
  };
}

interface Result {
  readonly sequence: number;
  readonly payload: Buffer;
  /** Milliseconds since 1970 of its change; undefined where the event does not say. */
  readonly changedAtMs: number | undefined;
}

type LastWord = { readonly errors: readonly GraphQLFormattedError[] } | 'complete';

/** Executes the events of an operation and delivers the results to its members. */
export class DistinctOperation {
  private readonly members = new Set<Member>();
  private received = 0;
  private readonly events: { readonly sequence: number; readonly event: SubgraphResponse }[] = [];
  private results: Result[] = [];
  private newest: Result | null = null;
  private resultBytes = 0;
  private executing = false;
  private flushing = false;
  private flushTimer: NodeJS.Timeout | undefined;
  /** The time from which the next pass may begin, by the clock of the turns. */
  private notBefore = 0;
  /** Whether there is a result that must be sent before the next pass is due. */
  private isUrgent = false;
  private lastWord: LastWord | null = null;
  private dissolved = false;

  constructor(private readonly options: DistinctOperationOptions) {}

  /** The number of members. */
  get size(): number {
    return this.members.size;
  }

  /** The number of events that wait to be executed, and of results that wait to be sent. */
  get waiting(): number {
    return this.events.length + this.results.length;
  }

  /** Adds a member, which gets the events from now on. */
  join(member: Member): void {
    member.joinedAt = this.received;
    this.members.add(member);
  }

  /** Whether a member that cannot keep up may skip events and `catchUp` later. */
  get isSkippable(): boolean {
    return this.options.isSkippable;
  }

  /** Gives a member that has skipped events the newest one, and leaves those before it out. */
  catchUp(member: Member): void {
    const { newest } = this;
    if (newest === null || newest.sequence <= member.joinedAt || !this.members.has(member)) return;
    member.joinedAt = newest.sequence;
    member.deliver(new FrameBatch([newest.payload]));
  }

  /** Removes a member. Gives whether it was one. */
  leave(member: Member): boolean {
    return this.members.delete(member);
  }

  /** Queues an event of the upstream for execution. */
  push(event: SubgraphResponse): void {
    if (this.dissolved || this.lastWord !== null) return;
    this.received += 1;
    if (this.events.length >= this.options.limits.maxQueuedEvents) return this.options.overflow();
    this.events.push({ sequence: this.received, event });
    unattended(this.executeAll(), 'Executing events of a subscription');
  }

  /** Ends the operation for all members, after their pending results were sent. */
  end(lastWord: LastWord): void {
    this.lastWord ??= lastWord;
    this.sayLastWord();
  }

  /** Drops all members and pending results, and gives the members. */
  dissolve(): Member[] {
    this.dissolved = true;
    clearTimeout(this.flushTimer);
    this.events.length = 0;
    this.results = [];
    this.resultBytes = 0;
    const members = [...this.members];
    this.members.clear();
    return members;
  }

  private async executeAll(): Promise<void> {
    if (this.executing) return;
    this.executing = true;
    // Events run one after the other, so that results keep their order.
    for (let next = this.events.shift(); next !== undefined; next = this.events.shift()) {
      const payload = await this.options.execute(next.event);
      if (this.dissolved) return;
      this.newest = { sequence: next.sequence, payload, changedAtMs: next.event.extensions?.changedAtMs };
      this.results.push(this.newest);
      this.resultBytes += payload.length;
      this.isUrgent ||= next.event.extensions?.urgent === true;
      this.flushSoon();
    }
    this.executing = false;
    this.sayLastWord();
  }

  private takeBatch(): Result[] {
    let bytes = 0;
    const end = this.results.findIndex(
      ({ payload }, index) => (bytes += payload.length) > this.options.limits.batchBytes && index > 0,
    );
    const batch = end === -1 ? this.results : this.results.slice(0, end);
    this.results = end === -1 ? [] : this.results.slice(end);
    this.resultBytes = this.results.reduce((sum, { payload }) => sum + payload.length, 0);
    // Results that did not fit follow at once: they keep the operation urgent.
    if (this.results.length === 0) this.isUrgent = false;
    return batch;
  }

  /** Schedules a pass, for all results that come within the window or before the pass may begin. */
  private flushSoon(): void {
    if (this.flushing) return;
    const isDue = this.isUrgent || this.resultBytes >= this.options.limits.batchBytes;
    if (isDue) clearTimeout(this.flushTimer);
    else if (this.flushTimer !== undefined) return;
    const restMs = Math.max(0, this.notBefore - this.options.turns.clock());
    this.flushTimer = setTimeout(
      () => unattended(this.flush(), 'Sending frames of a subscription'),
      isDue ? 0 : Math.max(restMs, this.options.limits.flushWindowMs),
    );
  }

  /** Sends the results that wait. Those that come meanwhile join the next pass. */
  private async flush(): Promise<void> {
    this.flushTimer = undefined;
    this.flushing = true;
    await this.broadcast(this.takeBatch());
    while (this.isUrgent || this.resultBytes >= this.options.limits.batchBytes) {
      // Events that came with it are executed in this turn, so that kill switches of one moment share a pass.
      await this.options.turns.nextTurn();
      await this.broadcast(this.takeBatch());
    }
    this.flushing = false;
    if (this.results.length > 0) this.flushSoon();
    this.sayLastWord();
  }

  private async broadcast(results: readonly Result[]): Promise<void> {
    const batches = new Map<number, FrameBatch | null>();
    const after = (sequence: number): FrameBatch | null => {
      let batch = batches.get(sequence);
      if (batch === undefined) {
        const payloads = results.filter((result) => result.sequence > sequence).map(({ payload }) => payload);
        batch = payloads.length > 0 ? new FrameBatch(payloads) : null;
        batches.set(sequence, batch);
      }
      return batch;
    };
    const first = (results[0]?.sequence ?? 0) - 1;
    const turns = this.options.turns.begin();
    // Iterating a set is safe while members join and leave during the pauses.
    for (const member of this.members) {
      const batch = after(Math.max(member.joinedAt, first));
      if (batch !== null) member.deliver(batch);
      if (turns.isOver()) await turns.next();
      if (this.dissolved) break;
    }
    if (!this.dissolved)
      for (const { changedAtMs } of results) if (changedAtMs !== undefined) this.options.delivered?.(changedAtMs);
    this.notBefore = turns.end(this.isWorkWaiting);
  }

  /** Whether there are events that were not executed, or results that were not sent. */
  private get isWorkWaiting(): boolean {
    return this.executing || this.events.length > 0 || this.results.length > 0;
  }

  private sayLastWord(): void {
    if (this.lastWord === null || this.dissolved || this.flushing || this.isWorkWaiting) return;
    const lastWord = this.lastWord;
    for (const member of this.dissolve()) {
      if (lastWord === 'complete') member.complete();
      else member.refuse(lastWord.errors);
    }
  }
}
