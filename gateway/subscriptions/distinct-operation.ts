/**
 * A distinct operation: all clients with the same subscription share one execution for each event, in order, and the
 * same frames.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { GraphQLFormattedError } from 'graphql';
import { unattended } from '../../core/async/unattended.ts';
import type { SubgraphResponse } from '../../core/wire/subgraph.ts';
import { FrameBatch } from './next-frames.ts';

/** A client as a member of a distinct operation. */
export interface Member {
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
  /** Milliseconds, bytes, sockets, events: see socket-limits.ts. */
  readonly limits: {
    readonly flushWindow: number;
    readonly batchBytes: number;
    readonly socketsPerTurn: number;
    readonly maxQueuedEvents: number;
  };
}

interface Result {
  readonly sequence: number;
  readonly payload: Buffer;
}

type LastWord = { readonly errors: readonly GraphQLFormattedError[] } | 'complete';

/** Executes the events of an operation and delivers the results to its members. */
export class DistinctOperation {
  /** The members, each with the number of the last event before it joined. A member only gets later events. */
  private readonly members = new Map<Member, number>();
  private received = 0;
  private readonly events: { readonly sequence: number; readonly event: SubgraphResponse }[] = [];
  private results: Result[] = [];
  private resultBytes = 0;
  private executing = false;
  private flushing = false;
  private flushTimer: NodeJS.Timeout | undefined;
  private lastWord: LastWord | null = null;
  private dissolved = false;

  constructor(private readonly options: DistinctOperationOptions) {}

  get size(): number {
    return this.members.size;
  }

  join(member: Member): void {
    this.members.set(member, this.received);
  }

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
    const members = [...this.members.keys()];
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
      this.results.push({ sequence: next.sequence, payload });
      this.resultBytes += payload.length;
      if (this.resultBytes >= this.options.limits.batchBytes)
        unattended(this.flush(), 'Sending frames of a subscription');
      else
        this.flushTimer ??= setTimeout(
          () => unattended(this.flush(), 'Sending frames of a subscription'),
          this.options.limits.flushWindow,
        );
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
    return batch;
  }

  private async flush(): Promise<void> {
    clearTimeout(this.flushTimer);
    this.flushTimer = undefined;
    if (this.flushing) return;
    this.flushing = true;
    while (this.results.length > 0) await this.broadcast(this.takeBatch());
    this.flushing = false;
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
    let written = 0;
    // Iterating a map is safe while members join and leave during the pauses.
    for (const [member, joinedAt] of this.members) {
      const batch = after(Math.max(joinedAt, first));
      if (batch !== null) member.deliver(batch);
      written += 1;
      if (written % this.options.limits.socketsPerTurn === 0) await nextTurn();
      if (this.dissolved) return;
    }
  }

  private sayLastWord(): void {
    if (this.lastWord === null || this.dissolved) return;
    if (this.executing || this.flushing || this.events.length > 0 || this.results.length > 0) return;
    const lastWord = this.lastWord;
    for (const member of this.dissolve()) {
      if (lastWord === 'complete') member.complete();
      else member.refuse(lastWord.errors);
    }
  }
}
