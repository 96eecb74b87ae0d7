/**
 * Time limits of all sockets on one timer: an interval for each socket would cost more memory than the socket's
 * own state.
 */
import { CloseCode } from 'graphql-ws';
import type { ClientConnection } from './client-connection.ts';
import type { SubscriptionLimits } from '../../subscriptions/subscription-limits.ts';

export interface SweepCounters {
  /** Sockets terminated because no pong came. */
  deadClosed: number;
}

/** One look at every connection: pings those that are due, closes those whose time is over. */
export function sweepConnections(
  connections: Iterable<ClientConnection>,
  limits: SubscriptionLimits,
  counters: SweepCounters,
  now = performance.now(),
): void {
  const wallClock = Date.now();
  for (const connection of connections) {
    if (!connection.open) continue;
    if (!connection.initialised && now - connection.openedAt > limits.connectionInitTimeout) {
      connection.close(CloseCode.ConnectionInitialisationTimeout, 'Connection initialisation timeout');
      continue;
    }
    const expiresAt = connection.identity?.expiresAt;
    if (expiresAt !== undefined && expiresAt.getTime() <= wallClock) {
      connection.close(CloseCode.Forbidden, 'Forbidden');
      continue;
    }
    if (connection.pongDue) {
      if (now - connection.pingedAt > limits.pongDeadline + connection.patience) {
        counters.deadClosed += 1;
        connection.socket.terminate();
      }
    } else if (now - connection.pingedAt > limits.pingInterval) {
      connection.pingedAt = now;
      connection.pongDue = true;
      connection.socket.ping();
    }
  }
}

/**
 * Milliseconds between two sweeps: an eighth of the shortest limit, so that none is exceeded by much.
 */
export function sweepInterval(limits: SubscriptionLimits): number {
  return Math.max(
    10,
    Math.min(1_000, limits.connectionInitTimeout / 8, limits.pingInterval / 8, limits.pongDeadline / 8),
  );
}
