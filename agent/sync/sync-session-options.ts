import type { Log } from '../log.ts';
import type { VehicleState } from '../state.ts';
import type { AgeingClock } from '../trust/ageing-clock.ts';
import type { Freshness } from '../trust/freshness.ts';
import type { PinnedKeys } from '../trust/pinned-keys.ts';
import type { Refusal } from '../trust/refusals.ts';
import type { Backoff } from '../../core/async/backoff.ts';
import type { GatewayLink } from '../link/gateway-link.ts';
import type { SyncHistory } from './sync-history.ts';

/** The options of a session: its link, the parts that outlive it, and its timings. */
export interface SyncSessionOptions {
  readonly link: Pick<GatewayLink, 'subscribe' | 'request' | 'ended'>;
  readonly keys: PinnedKeys;
  readonly log: Log;
  /** The vehicle's clock, in milliseconds since 1970. */
  readonly now: () => number;
  readonly ageingClock: AgeingClock;
  readonly freshness: Freshness;
  readonly history: SyncHistory;
  readonly state: () => VehicleState;
  /** Persists a state and evaluates from it; resolves when both are done. */
  readonly commit: (next: VehicleState) => Promise<void>;
  readonly refuse: (refusal: Refusal) => void;
  /** Called after each sync that was applied. */
  readonly synced: () => void;
  /** Called after each applied answer, with whether its proof shows that the vehicle is up to date now. */
  readonly touched: (inTouch: boolean) => void;
  /** Gives the milliseconds until the next sync of an idle connection; called before each. */
  readonly resyncDelayMs: () => number;
  /** The milliseconds after a proof of a later revision until its changes are requested; they may be on their way. */
  readonly aheadMs: number;
  /** The milliseconds between two checks for stale flags. */
  readonly staleCheckMs: number;
  /** A source of random numbers, uniform in [0, 1). */
  readonly random: () => number;
  /** Gives the waits after a sync that failed or did not complete a set. */
  readonly backoff: Backoff;
  /** Gives the waits between syncs for flags that stay stale. */
  readonly staleBackoff: Backoff;
}
