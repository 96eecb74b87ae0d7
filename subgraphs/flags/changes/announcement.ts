/** Messages on the bus by which instances of the subgraph announce committed changes. */
import type { Environment } from '../../../core/model.ts';

/**
 * The bus channel that announces committed changes; the message is the environment's name, and whether it is a kill.
 */
export const FLAGS_CHANGED = 'flags-changed';

const KILL = ' kill';

/**
 * Writes the announcement of a change.
 *
 * @param isKill whether a kill switch was pulled
 */
export function announcementOf(environment: Environment, isKill: boolean): string {
  return isKill ? `${environment}${KILL}` : environment;
}

/** Says whether a message announces a pulled kill switch. */
export function announcesKill(message: string): boolean {
  return message.endsWith(KILL);
}
