/**
 * Admits as many handshakes as the process can finish in a few seconds. The other clients get the time of the next
 * room. A fleet that comes back at once is let in at the pace at which the process has been seen to serve it, instead
 * of waiting together until its time limits run out. A refused client costs a short answer.
 */
import { performance } from 'node:perf_hooks';

/** Seconds of work, at the present pace, that may be admitted and not finished. */
const QUEUE_SECONDS = 3;
/**
 * Handshakes a second. The first is optimistic: a client that is admitted too early waits, and one that is refused too
 * early waits longer.
 */
const PACE = { first: 4_000, least: 50, most: 20_000 } as const;
/** Milliseconds over which a pace is measured. */
const WINDOW_MS = 500;
/** The share of a window in which the process must have been busy for its pace to be the most that it can. */
const BUSY = 0.8;
/** The weight of the newest measurement, and the part of a former one that is dropped while there is none. */
const WEIGHT = 0.5;
const FORGETTING = 0.1;
/** The waiting handshakes from which a pace is measured: with fewer, other work keeps the process busy. */
const CROWD = 100;
/** The ticks for which a handshake counts as under way. After them its client is slow, and not this process. */
const OUR_TICKS = 4;

/** The time that the process has worked since it started, in milliseconds. */
export interface Utilization {
  readonly idle: number;
  readonly active: number;
}

/** The clocks of an admission; by default those of this process. */
export interface AdmissionOptions {
  /** Milliseconds, monotonic. */
  readonly clock?: () => number;
  readonly utilization?: () => Utilization;
}

/** A handshake that was admitted. */
export interface AdmittedHandshake {
  /** The tick in which it was admitted. */
  readonly admittedAt: number;
}

/** Decides which handshakes are admitted. */
export class HandshakeAdmission {
  readonly #clock: () => number;
  readonly #utilization: () => Utilization;
  /** Handshakes that are under way, by the tick in which they were admitted, newest last. */
  readonly #underWay: number[] = Array<number>(OUR_TICKS).fill(0);
  #tick = 0;
  #pace: number = PACE.first;
  #finished = 0;
  /** The most handshakes that waited at a time in this window. */
  #mostWaiting = 0;
  #windowFrom: number;
  #before: Utilization;
  /** The time until which room has been promised to refused clients. */
  #bookedUntil = -Infinity;

  constructor({
    clock = () => performance.now(),
    utilization = () => performance.eventLoopUtilization(),
  }: AdmissionOptions = {}) {
    this.#clock = clock;
    this.#utilization = utilization;
    this.#windowFrom = clock();
    this.#before = utilization();
  }

  /** The handshakes a second that the process finishes when it does nothing else, as last measured. */
  get pace(): number {
    return this.#pace;
  }

  /**
   * Admits a handshake, and gives the argument for `finish` at its end. Otherwise gives the whole seconds, from 1,
   * after which there will be room for the client.
   */
  admit(): AdmittedHandshake | number {
    const waiting = this.#underWay.reduce((sum, count) => sum + count, 0);
    this.#mostWaiting = Math.max(this.#mostWaiting, waiting);
    if (waiting < this.#pace * QUEUE_SECONDS) {
      this.#underWay[this.#tick % OUR_TICKS] = (this.#underWay[this.#tick % OUR_TICKS] ?? 0) + 1;
      return { admittedAt: this.#tick };
    }
    const now = this.#clock();
    this.#bookedUntil = Math.max(this.#bookedUntil, now) + 1_000 / this.#pace;
    return Math.max(1, Math.ceil((this.#bookedUntil - now) / 1_000));
  }

  /**
   * Ends a handshake.
   *
   * @param served whether the client was accepted; otherwise it has gone
   */
  finish(admittedAt: number, served: boolean): void {
    if (served) this.#finished += 1;
    if (this.#tick - admittedAt >= OUR_TICKS) return;
    const slot = admittedAt % OUR_TICKS;
    this.#underWay[slot] = Math.max(0, (this.#underWay[slot] ?? 0) - 1);
  }

  /** Advances by a tick of the time in which the process can serve (deadline-wheel.ts). */
  tick(): void {
    this.#tick += 1;
    this.#underWay[this.#tick % OUR_TICKS] = 0;
    const now = this.#clock();
    if (now - this.#windowFrom >= WINDOW_MS) this.#measure(now);
  }

  #measure(now: number): void {
    const { idle, active } = this.#utilization();
    const busy = (active - this.#before.active) / (active + idle - this.#before.active - this.#before.idle);
    const isMeasured = busy >= BUSY && this.#mostWaiting >= CROWD;
    const seen = (this.#finished * 1_000) / (now - this.#windowFrom);
    const pace = isMeasured
      ? this.#pace + (seen - this.#pace) * WEIGHT
      : this.#pace + (PACE.first - this.#pace) * FORGETTING;
    this.#pace = Math.min(PACE.most, Math.max(PACE.least, pace));
    this.#windowFrom = now;
    this.#before = { idle, active };
    this.#finished = this.#mostWaiting = 0;
  }
}
