import type { Log } from '../log.ts';
import type { VehicleState } from '../state.ts';
import type { AgeingClock } from '../trust/ageing-clock.ts';
import type { Freshness } from '../trust/freshness.ts';
import type { PinnedKeys } from '../trust/pinned-keys.ts';
import type { Refusal } from '../trust/refusals.ts';
import type { Backoff } from '../link/backoff.ts';
import type { GatewayLink } from '../link/gateway-link.ts';
import type { SyncHistory } from './sync-history.ts';

/** What a session works with: one link, what is to outlive it, and how patient it is. */
export interface SyncSessionOptions {
  readonly link: Pick<GatewayLink, 'subscribe' | 'request' | 'ended'>;
  readonly keys: PinnedKeys;
  readonly log: Log;
  /** Milliseconds since 1970. */
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
  /** Told after each answer that was applied whether what it proves is of now. */
  readonly touched: (inTouch: boolean) => void;
  /** Milliseconds until the next sync of an idle connection; asked anew each time. */
  readonly resyncDelay: () => number;
  /** Milliseconds from a proof that is ahead until its changes are asked for: they may be on their way. */
  readonly aheadMs: number;
  /** Milliseconds between two looks at whether flags have gone stale. */
  readonly staleCheckMs: number;
  /** Waits after a sync that failed or left something open. */
  readonly backoff: Backoff;
  /** Waits between syncs for flags that stay stale. */
  readonly staleBackoff: Backoff;
}
