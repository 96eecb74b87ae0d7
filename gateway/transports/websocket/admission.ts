/**
 * Admits as many handshakes as the process can finish in a few seconds, and tells the others when there will be room. A
 * fleet that comes back at once is let in at the pace at which the process has been seen to serve it, instead of waiting
 * together until its time limits run out. Who is refused costs a short answer.
 */
import { performance } from 'node:perf_hooks';

/** Seconds of work, at the present pace, that may be admitted and not finished. */
const QUEUE_SECONDS = 3;
/**
 * Handshakes a second. The first is optimistic: who is admitted too early waits, and who is refused too early waits
 * longer.
 */
const PACE = { first: 4_000, least: 50, most: 20_000 } as const;
/** Milliseconds over which a pace is measured. */
const WINDOW_MS = 500;
/** The share of a window in which the process must have been busy for its pace to be the most that it can. */
const BUSY = 0.8;
/** How much the newest measurement counts, and how much of a former one is forgotten while there is nothing to measure. */
const WEIGHT = 0.5;
const FORGETTING = 0.1;
/** Handshakes that wait at a time: with fewer it is not they that the process is busy with. */
const CROWD = 100;
/** Ticks that a client has to say who it is before it is its own slowness, and no longer ours, that is waited for. */
const OUR_TICKS = 4;

/** What the process has done since it started, in milliseconds. */
export interface Utilization {
  readonly idle: number;
  readonly active: number;
}

export interface AdmissionOptions {
  /** Milliseconds, monotonic. */
  readonly clock?: () => number;
  readonly utilization?: () => Utilization;
}

/** A handshake that was admitted. */
export interface AdmittedHandshake {
  /** The tick in which it was. */
  readonly admittedAt: number;
}

/** Decides who is admitted. */
export class Admission {
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
  /** Until when room has been promised to those who were refused. */
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

  /** Handshakes a second that the process finishes when it has nothing but them to do, as far as was seen. */
  get pace(): number {
    return this.#pace;
  }

  /**
   * Admits a handshake: gives what `finish` wants when it is over. Or gives the whole seconds, from 1, after which there
   * will be room for the client.
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

  /** A handshake is over: the client has been told that it is welcome, or is gone. @param served the former */
  finish(admittedAt: number, served: boolean): void {
    if (served) this.#finished += 1;
    if (this.#tick - admittedAt >= OUR_TICKS) return;
    const slot = admittedAt % OUR_TICKS;
    this.#underWay[slot] = Math.max(0, (this.#underWay[slot] ?? 0) - 1);
  }

  /** A tick of the time in which the process can serve (deadline-wheel.ts). */
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
