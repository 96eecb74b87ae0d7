/**
 * One client's end as what is written to it: results and frames, how many bytes wait for the client to read them, and
 * the time since which it has been too far behind to be written to.
 */
import type { GraphQLFormattedError } from 'graphql';
import { MessageType } from 'graphql-ws';
import { FrameBatch, encodeId, sharedFrames, type EncodedId } from '../../../subscriptions/next-frames.ts';
import type { ServerSocket } from '../framing/server-socket.ts';
import { TRY_AGAIN_LATER, type ConnectionHost } from './connection-host.ts';

/** The part of a connection that writes. It is a base class, because tens of thousands of members would cost memory. */
export abstract class ClientOutput {
  /** The time since which it has been too far behind to be written to; null where it is not. */
  #behindSince: number | null = null;
  /** Called when the client has read all; null where nobody waits for that. One listener serves all of them. */
  #caughtUp: (() => void)[] | null = null;
  /** The largest answer that may still wait to be read: the client asked for it, so it is no sign of slowness. */
  #allowance = 0;

  constructor(
    protected readonly socket: ServerSocket,
    protected readonly host: ConnectionHost,
  ) {}

  /** Ends all operations. */
  abstract release(): void;

  /** Schedules a check of the deadlines in `inMs` milliseconds. */
  protected abstract checkAgain(inMs: number): void;

  /** The bytes that wait in this process for the client to read them. */
  get waitingBytes(): number {
    return this.socket.waitingBytes;
  }

  get isOpen(): boolean {
    return this.socket.isOpen;
  }

  /**
   * The milliseconds that a pong may take longer than usual: a ping waits behind a large answer, which a vehicle with a
   * poor connection reads at 16 KiB a second.
   */
  get pongGraceMs(): number {
    if (this.socket.waitingBytes === 0) this.#allowance = 0;
    return this.#allowance / 16;
  }

  /** Whether more bytes wait in this process for the client than may. */
  get isOverfull(): boolean {
    const waiting = this.socket.waitingBytes;
    if (waiting === 0) {
      this.#allowance = 0;
      return false;
    }
    return waiting > this.host.limits.bufferedBytes + this.#allowance;
  }

  /** Sends a protocol message; does nothing when the socket is closing. */
  send(message: object): void {
    if (this.isOpen) this.socket.send(JSON.stringify(message));
  }

  /**
   * Sends the result of a query or mutation, and completes its operation.
   *
   * @param result as JSON in UTF-8
   * @param isShared whether others may get just these bytes: they are framed once
   */
  sendResult(id: string, result: Buffer, isShared: boolean): void {
    if (!this.isOpen || this.isDropped()) return;
    const batch = isShared ? sharedFrames(result) : new FrameBatch([result], true);
    const bytes = batch.framesFor(encodeId(id));
    this.socket.write(bytes);
    if (this.socket.waitingBytes === 0) return;
    batch.keep();
    this.#allowance = Math.max(this.#allowance, bytes.length);
  }

  /** Sends the errors of the operation `id`, which has failed or was never begun. */
  sendError(id: string, errors: readonly GraphQLFormattedError[]): void {
    this.send({ id, type: MessageType.Error, payload: errors });
  }

  sendComplete(id: string): void {
    this.send({ id, type: MessageType.Complete });
  }

  /** Writes prebuilt frames; the client must not be overfull. */
  writeFrames(batch: FrameBatch, id: EncodedId): void {
    if (!this.isOpen) return;
    const bytes = batch.framesFor(id);
    this.socket.write(bytes);
    // Where nothing waits, the kernel has copied the bytes, and the next id may be patched into them.
    if (this.socket.waitingBytes > 0) batch.keep();
    const { counters } = this.host;
    counters.framesSent += batch.count;
    counters.bytesSent += bytes.length;
    counters.writes += 1;
  }

  /**
   * Records that a result was not written because the client is overfull.
   *
   * @param caughtUp called once it has read all
   */
  fallBehind(caughtUp: () => void): void {
    const { pongDeadlineMs } = this.host.limits;
    if (this.#behindSince === null) {
      this.#behindSince = this.host.nowMs();
      this.checkAgain(pongDeadlineMs);
    }
    if (this.#caughtUp !== null) return void this.#caughtUp.push(caughtUp);
    this.#caughtUp = [caughtUp];
    this.socket.onceDrained(() => {
      this.#behindSince = null;
      const waiting = this.#caughtUp ?? [];
      this.#caughtUp = null;
      // The first of them may fill the socket again. The others then fall behind once more by themselves.
      for (const resume of waiting) resume();
    });
  }

  /** Says whether the client has been behind for so long that it will hardly catch up. */
  isStuck(nowMs: number): boolean {
    return (
      this.#behindSince !== null && nowMs - this.#behindSince >= this.host.limits.pongDeadlineMs + this.pongGraceMs
    );
  }

  close(code: number, reason: string): void {
    this.socket.close(code, reason);
  }

  /** Drops the client where too many bytes wait for it. Gives whether it did. */
  protected isDropped(): boolean {
    const drops = this.isOverfull;
    if (drops) this.dropSlow();
    return drops;
  }

  dropSlow(): void {
    this.host.counters.slowClosed += 1;
    this.close(TRY_AGAIN_LATER, 'Too slow');
    this.release();
  }
}
