/** The messages between the processes of the fan-out benchmark. */

/**
 * The subscription server under test: FleetFlag's (`shared`), or that of graphql-ws as its documentation sets it up
 * (`useServer`).
 */
export type Way = 'shared' | 'useServer';

/** A command to the server's process. `memory` collects garbage first, which would count as CPU time. */
export type ServerCommand = { readonly emit: number } | { readonly sample: 'cpu' | 'memory' };
/** A message from the server's process. */
export type ServerMessage =
  | { readonly port: number }
  /** CPU seconds of the process so far, and its resident bytes. */
  | { readonly cpuSeconds: number; readonly residentBytes: number }
  /** Wall clock, milliseconds with fractions. */
  | { readonly emittedAtMs: number };

/** A command to the subscribers' process: the number of frames to expect from now on. */
export type SubscriberCommand = { readonly expect: number };
/** A message from the subscribers' process. */
export type SubscriberMessage =
  /** The number of subscribers, all of which have subscribed. */
  | { readonly connected: number }
  /** Wall clock of the last frame, milliseconds with fractions, and the bytes of one message. */
  | { readonly lastAtMs: number; readonly messageBytes: number };

/** Gives the wall clock in milliseconds with fractions, comparable between processes of one machine. */
export function wallClockMs(): number {
  return performance.timeOrigin + performance.now();
}

/** The one operation that every subscriber sends. */
export const OPERATION =
  'subscription { changes { revision previousRevision statement flag { key name enabled owner note } } }';
