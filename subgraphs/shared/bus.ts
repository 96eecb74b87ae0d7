/**
 * The bus on which committed changes are announced to every instance. Announcements may be lost: whoever listens
 * must also look for itself (design.md, "Revisions").
 */
export interface Bus {
  /** Tells all instances. Resolves when handed over; rejects with SERVICE_UNAVAILABLE when the bus is down. */
  publish(channel: string, message: string): Promise<void>;
  /** Calls `listener` for each message on `channel` from now on, until the returned function is called. */
  subscribe(channel: string, listener: (message: string) => void): Promise<() => Promise<void>>;
  close(): Promise<void>;
}

/** The bus of a control plane that is one process. Messages arrive in a later turn of the event loop, as they would from a server. */
export function createInProcessBus(): Bus {
  const channels = new Map<string, Set<(message: string) => void>>();
  return {
    async publish(channel, message) {
      for (const listener of channels.get(channel) ?? []) setImmediate(listener, message);
    },
    async subscribe(channel, listener) {
      const listeners = channels.get(channel) ?? new Set();
      channels.set(channel, listeners.add(listener));
      return async () => {
        listeners.delete(listener);
        if (listeners.size === 0) channels.delete(channel);
      };
    },
    async close() {
      channels.clear();
    },
  };
}
