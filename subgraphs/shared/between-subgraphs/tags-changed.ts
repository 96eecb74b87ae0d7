/** Announces on the bus that the tags of vehicles have changed. */
import type { Logger } from 'pino';
import { unattended } from '../../../core/last-handler/unattended.ts';
import type { Bus } from '../feeds/bus.ts';

/**
 * The bus channel on which the vehicles subgraph says that tags were given or taken. Messages are empty and may be
 * lost: the counts in `vehicle_tags` say the same for good.
 */
export const TAGS_CHANGED = 'vehicle-tags-changed';

/** Creates the function that announces changed tags on the bus. It logs failures and never throws. */
export function tagAnnouncer(bus: Bus, logger: Logger): (requestId: string) => void {
  const publish = (requestId: string) =>
    bus
      .publish(TAGS_CHANGED, '')
      .catch((error: unknown) =>
        logger.warn(
          { err: error, requestId },
          'Cannot announce changed tags of vehicles; the flags of their segments are signed about a second later',
        ),
      );
  return (requestId) => unattended(publish(requestId), 'Announcing changed tags');
}
