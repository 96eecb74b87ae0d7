/**
 * Tracks which vehicles have a socket at this gateway, and which changes are not reported yet. A vehicle may have
 * several sockets, such as one that is still being closed and its successor.
 */
import type { Caller } from '../../core/access/caller.ts';

/** The changes of a report. A VIN is in at most one of the lists. */
export interface PresenceNews {
  readonly opened: readonly string[];
  readonly closed: readonly string[];
}

/** Counts sockets by vehicle and collects the changes to report. */
export class ConnectedVehicles {
  /** The number of sockets by VIN, from 1. */
  readonly #sockets = new Map<string, number>();
  /** The VINs whose first socket opened or last socket closed since the last report, in that order. */
  #unreported = new Set<string>();

  get hasNews(): boolean {
    return this.#unreported.size > 0;
  }

  opened(vin: string): void {
    const sockets = this.#sockets.get(vin) ?? 0;
    this.#sockets.set(vin, sockets + 1);
    if (sockets === 0) this.#unreported.add(vin);
  }

  closed(vin: string): void {
    const left = (this.#sockets.get(vin) ?? 0) - 1;
    if (left > 0) this.#sockets.set(vin, left);
    else if (this.#sockets.delete(vin)) this.#unreported.add(vin);
  }

  /** Takes the changes of at most `limit` vehicles. Changes that were not stored must be put back with `giveBack`. */
  takeNews(limit: number): PresenceNews {
    const opened: string[] = [];
    const closed: string[] = [];
    for (const vin of this.#unreported) {
      if (opened.length + closed.length >= limit) break;
      (this.#sockets.has(vin) ? opened : closed).push(vin);
      this.#unreported.delete(vin);
    }
    return { opened, closed };
  }

  /**
   * Puts changes back that may not have been stored. The next reports give the then present state of these vehicles.
   */
  giveBack(news: PresenceNews): void {
    for (const vin of [...news.opened, ...news.closed]) this.#unreported.add(vin);
  }

  /** Schedules a report of all connected vehicles, after the earlier reports were lost. */
  reportAll(): void {
    this.#unreported = new Set(this.#sockets.keys());
  }
}

/** Gives the listener by which the websocket server, whose sockets belong to all callers, reports those of vehicles. */
export function presenceOf(vehicles: Pick<ConnectedVehicles, 'opened' | 'closed'>): {
  opened(caller: Caller): void;
  closed(caller: Caller): void;
} {
  const note = (caller: Caller, what: 'opened' | 'closed') => {
    if (caller.kind === 'vehicle' && caller.vin !== null) vehicles[what](caller.vin);
  };
  return { opened: (caller) => note(caller, 'opened'), closed: (caller) => note(caller, 'closed') };
}
