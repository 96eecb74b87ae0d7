/** The use case of a heartbeat. */
import { FleetFlagError } from '../../../core/errors.ts';
import type { CallerIdentity } from '../../../core/access/caller.ts';
import { writeQueueOf, type WriteQueue } from '../../shared/subgraph/write-queue.ts';
import type { ClockWatch } from './clock-watch.ts';
import type { AgentHeartbeatInput } from '../generated/resolvers.ts';
import { readHeartbeat } from './heartbeat.ts';
import type { HeartbeatCollector } from './heartbeat-collector.ts';

/** Accepts vehicles' heartbeats. */
export class HeartbeatService {
  constructor(
    private readonly collector: HeartbeatCollector,
    private readonly clocks: Pick<ClockWatch, 'note'>,
  ) {}

  /** Gives how full this instance's queue of heartbeats is. */
  queue(): WriteQueue {
    return writeQueueOf(this.collector.load());
  }

  /**
   * Stores the calling vehicle's heartbeat. Resolves to true when it is stored, and to false when the vehicle is not
   * registered.
   *
   * @throws FORBIDDEN when the caller is not a vehicle, BAD_USER_INPUT at the first fault, or SERVICE_UNAVAILABLE with
   * `retryAfter`
   */
  async beat({ caller }: CallerIdentity, input: AgentHeartbeatInput): Promise<boolean> {
    if (caller.kind !== 'vehicle' || caller.vin === null)
      throw new FleetFlagError('FORBIDDEN', 'Only a vehicle may send heartbeats, and only its own.');
    const heartbeat = readHeartbeat(caller.vin, caller.environment, input);
    const registered = await this.collector.add(heartbeat);
    if (registered) this.clocks.note(heartbeat);
    return registered;
  }
}
