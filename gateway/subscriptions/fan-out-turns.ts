/**
 * The turns of the event loop in which frames are written to a fleet's sockets. Other work has the process between two
 * of them: an operator's next change waits for one turn at each of its steps, not for a whole fleet.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';

/** The lengths of turns, and of the rests between passes. */
export interface FanOutTimes {
  /** Milliseconds of a turn, shared by all passes that are under way. */
  readonly turnMs: number;
  /** The number of sockets that are written to between two reads of the clock. */
  readonly socketsBetweenLooks: number;
  /**
   * The milliseconds for which an operation rests after a pass during which further results came, or three times the
   * length of the pass if that is less. In a burst, many changes travel in each pass: the cost of a pass depends on the
   * size of the fleet and hardly on the number of frames.
   */
  readonly restMs: number;
  /**
   * The same after a pass during which nothing came. It is short: a person's next change comes a while later, and is
   * sent at once. A kill switch always is.
   */
  readonly quietRestMs: number;
}

const TIMES: FanOutTimes = { turnMs: 2, socketsBetweenLooks: 16, restMs: 500, quietRestMs: 100 };
const REST_FACTOR = 3;

/** A pass over the sockets of one operation. */
export interface FanOutPass {
  /** Counts a socket. Gives whether the turn is over. */
  isOver(): boolean;
  /** Resolves in the next turn. */
  next(): Promise<void>;
  /**
   * Ends it. Gives the time, by the clock, before which the operation's next pass should not begin.
   *
   * @param isFollowed whether results came while it was under way
   */
  end(isFollowed: boolean): number;
}

/** Shares turns among passes. */
export class FanOutTurns {
  #passes = 0;

  /** @param clock milliseconds, monotonic */
  constructor(
    private readonly times: FanOutTimes = TIMES,
    readonly clock: () => number = () => performance.now(),
  ) {}

  /** Resolves in the next turn. */
  nextTurn(): Promise<void> {
    return nextTurn();
  }

  /** Begins a pass, in the turn that is under way. */
  begin(): FanOutPass {
    this.#passes += 1;
    const { turnMs, socketsBetweenLooks, restMs, quietRestMs } = this.times;
    let sockets = 0;
    let workedMs = 0;
    let turnFrom = this.clock();
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
      end: (isFollowed) => {
        this.#passes -= 1;
        const endedAt = this.clock();
        workedMs += endedAt - turnFrom;
        return endedAt + Math.min(isFollowed ? restMs : quietRestMs, REST_FACTOR * workedMs);
      },
    };
  }
}
