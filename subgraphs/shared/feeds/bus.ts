/**
 * The bus that announces committed changes to every instance. Announcements may be lost, so every subscriber must also
 * poll (design.md, "Revisions").
 */
export interface Bus {
  /**
   * Publishes to all instances. Resolves when the message is handed over; rejects with SERVICE_UNAVAILABLE when the bus
   * is down.
   */
  publish(channel: string, message: string): Promise<void>;
  /** Calls `listener` for each later message on `channel`, until the returned function is called. */
  subscribe(channel: string, listener: (message: string) => void): Promise<() => Promise<void>>;
  close(): Promise<void>;
}

/**
 * Creates the bus of a single-process control plane. Messages arrive in a later turn of the event loop, as they would
 * from a server.
 */
export function createInProcessBus(): Bus {
  const channels = new Map<string, Set<(message: string) => void>>();
  return {
    async publish(channel, message) {
      for (const subscription of channels.get(channel) ?? []) setImmediate(subscription, message);
    },
    async subscribe(channel, listener) {
      // A new function for each call: ending one subscription of a listener must not end another of the same listener.
      const subscription = (message: string) => {
        if (channels.get(channel)?.has(subscription) === true) listener(message);
      };
      channels.set(channel, (channels.get(channel) ?? new Set()).add(subscription));
      return async () => {
        const subscriptions = channels.get(channel);
        subscriptions?.delete(subscription);
        if (subscriptions?.size === 0) channels.delete(channel);
      };
    },
    async close() {
      channels.clear();
    },
  };
}
