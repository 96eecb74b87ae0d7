/**
 * The turns of the event loop in which frames are written to a fleet's sockets. Other work has the process between two
 * of them: an operator's next change waits for one turn at each of its steps, not for a whole fleet.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';

export interface FanOutTimes {
  /** Milliseconds of a turn, shared by all passes that are under way. */
  readonly turnMs: number;
  /** How many sockets are written to between two looks at the clock. */
  readonly socketsBetweenLooks: number;
  /**
   * Passes of an operation begin at least so many milliseconds apart, or four times as long as the last one worked where
   * that is less. A change after a quiet while is sent at once; of a burst of changes several travel in each pass, since
   * a pass costs what the fleet is large and hardly more for a few frames more.
   */
  readonly apartMs: number;
}

const TIMES: FanOutTimes = { turnMs: 2, socketsBetweenLooks: 16, apartMs: 250 };
const APART_FACTOR = 4;

/** A pass over the sockets of one operation. */
export interface FanOutPass {
  /** Counts a socket; whether the turn is over. */
  isOver(): boolean;
  /** Resolves in the next turn. */
  next(): Promise<void>;
  /** Ends it. Gives the time, by the clock, before which the operation's next pass should not begin. */
  end(): number;
}

/** Shares turns among passes. */
export class FanOutTurns {
  #passes = 0;

  /** @param clock milliseconds, monotonic */
  constructor(
    private readonly times: FanOutTimes = TIMES,
    readonly clock: () => number = () => performance.now(),
  ) {}

  /** Begins a pass, in the turn that is under way. */
  begin(): FanOutPass {
    this.#passes += 1;
    const { turnMs, socketsBetweenLooks, apartMs } = this.times;
    const beganAt = this.clock();
    let sockets = 0;
    let workedMs = 0;
    let turnFrom = beganAt;
    return {
      isOver: () => {
        sockets += 1;
        return sockets % socketsBetweenLooks === 0 && this.clock() >= turnFrom + turnMs / this.#passes;
      },
      next: async () => {
        workedMs += this.clock() - turnFrom;
        await nextTurn();
        turnFrom = this.clock();
      },
      end: () => {
        this.#passes -= 1;
        workedMs += this.clock() - turnFrom;
        return beganAt + Math.min(apartMs, APART_FACTOR * workedMs);
      },
    };
  }
}
