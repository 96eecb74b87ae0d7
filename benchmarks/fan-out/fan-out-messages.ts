/** The messages between the processes of the fan-out benchmark. */

/** `shared`: FleetFlag's subscription server. `useServer`: graphql-ws as its documentation sets it up. */
export type Way = 'shared' | 'useServer';

/** `memory` collects garbage first, which would count as CPU time. */
export type ServerCommand = { readonly emit: number } | { readonly sample: 'cpu' | 'memory' };
/** A message from the server's process. */
export type ServerMessage =
  | { readonly port: number }
  /** CPU seconds of the process so far, and its resident bytes. */
  | { readonly cpuSeconds: number; readonly residentBytes: number }
  /** Wall clock, milliseconds with fractions. */
  | { readonly emittedAt: number };

/** The number of frames to expect from now on. */
export type ClientCommand = { readonly expect: number };
/** A message from the subscribers' process. */
export type SubscriberMessage =
  | { readonly connected: number }
  /** Wall clock of the last frame, milliseconds with fractions, and the bytes of one message. */
  | { readonly lastAt: number; readonly messageBytes: number };

/** Gives the wall clock in milliseconds with fractions, comparable between processes of one machine. */
export function wallClock(): number {
  return performance.timeOrigin + performance.now();
}

/** The one operation that every subscriber sends. */
export const OPERATION =
  'subscription { changes { revision previousRevision statement flag { key name enabled owner note } } }';
