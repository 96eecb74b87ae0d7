/** Checks what is due for a connection: its initialisation, the end of its credentials, a ping, its end. */
import { CloseCode } from 'graphql-ws';
import type { ClientConnection } from './client-connection.ts';
import type { SubscriptionLimits } from '../../../subscriptions/subscription-limits.ts';

/** The counts of what deadlines have ended. */
export interface DeadlineCounters {
  /** Sockets terminated because no pong came. */
  deadClosed: number;
}

/**
 * Enforces the time limits of a connection. Gives the milliseconds until the next check.
 *
 * @param nowMs the time by the deadline wheel
 */
export function enforceDeadlines(
  connection: ClientConnection,
  limits: SubscriptionLimits,
  counters: DeadlineCounters,
  nowMs: number,
): number {
  if (!connection.isOpen) {
    const leftMs = connection.closingAt + limits.closeTimeoutMs - nowMs;
    if (leftMs <= 0) connection.terminate();
    return leftMs;
  }
  const initMs = connection.initialised ? Infinity : connection.openedAt + limits.connectionInitTimeoutMs - nowMs;
  const expiresInMs = connection.expiresAtMs - Date.now();
  if (initMs <= 0) connection.close(CloseCode.ConnectionInitialisationTimeout, 'Connection initialisation timeout');
  else if (expiresInMs <= 0) connection.close(CloseCode.Forbidden, 'Forbidden');
  else if (connection.isStuck(nowMs)) connection.dropSlow();
  else return Math.min(initMs, expiresInMs, keepAlive(connection, limits, counters, nowMs));
  return limits.closeTimeoutMs;
}

/** Sends a ping when it is due, and drops a connection whose pong has not come in time. */
function keepAlive(
  connection: ClientConnection,
  { pingIntervalMs, pongDeadlineMs, closeTimeoutMs }: SubscriptionLimits,
  counters: DeadlineCounters,
  nowMs: number,
): number {
  const sinceMs = nowMs - connection.pingedAt;
  if (!connection.pongDue) {
    if (sinceMs < pingIntervalMs) return pingIntervalMs - sinceMs;
    connection.ping(nowMs);
    return pongDeadlineMs;
  }
  const leftMs = pongDeadlineMs + connection.pongGraceMs - sinceMs;
  if (leftMs > 0) return leftMs;
  counters.deadClosed += 1;
  connection.terminate();
  return closeTimeoutMs;
}

/** Milliseconds between two ticks: an eighth of the shortest limit, so that none is exceeded by much. */
export function tickOf({
  connectionInitTimeoutMs,
  pingIntervalMs,
  pongDeadlineMs,
  closeTimeoutMs,
}: SubscriptionLimits): number {
  const shortest = Math.min(connectionInitTimeoutMs, pingIntervalMs, pongDeadlineMs, closeTimeoutMs);
  return Math.round(Math.max(10, Math.min(1_000, shortest / 8)));
}
