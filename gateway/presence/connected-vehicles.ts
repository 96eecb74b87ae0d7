/**
 * Which vehicles have a socket at this gateway, and of which of them the control plane has yet to be told. A vehicle
 * may have several sockets, such as one that is still being closed and its successor.
 */
import type { Caller } from '../../core/access/caller.ts';

/** What the next report says. A VIN is in one of the lists. */
export interface PresenceNews {
  readonly opened: readonly string[];
  readonly closed: readonly string[];
}

export class ConnectedVehicles {
  /** Sockets by VIN; 1 or more. */
  readonly #sockets = new Map<string, number>();
  /** VINs whose last socket has closed or first one opened since they were reported, in the order of that. */
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

  /** Takes what is to be reported of at most `limit` vehicles. What is not stored is to be given back. */
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

  /** The report of `news` may not have been stored: the next ones say of these vehicles what is so by then. */
  giveBack(news: PresenceNews): void {
    for (const vin of [...news.opened, ...news.closed]) this.#unreported.add(vin);
  }

  /** Nothing of what was reported counts any more. */
  reportAnew(): void {
    this.#unreported = new Set(this.#sockets.keys());
  }
}

/** Notes the sockets of vehicles, for a server of sockets of all callers. */
export function presenceOf(vehicles: Pick<ConnectedVehicles, 'opened' | 'closed'>): {
  opened(caller: Caller): void;
  closed(caller: Caller): void;
} {
  const note = (caller: Caller, what: 'opened' | 'closed') => {
    if (caller.kind === 'vehicle' && caller.vin !== null) vehicles[what](caller.vin);
  };
  return { opened: (caller) => note(caller, 'opened'), closed: (caller) => note(caller, 'closed') };
}
