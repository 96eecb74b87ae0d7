/**
 * Closes the connections of a server that has disappeared without closing them: its host has failed, another server has
 * taken its name, a firewall has forgotten the connection. The operating system would keep a statement waiting for a
 * quarter of an hour or longer, and with it all that wait for it, such as the changes that vehicles receive.
 */
import { Socket } from 'node:net';
import type { Pool } from 'pg';

/**
 * Closes each connection of a pool on which a statement is under way and nothing has arrived for `silenceMs`. The
 * statement then fails as on any lost connection, and the next one gets another connection.
 *
 * @param silenceMs milliseconds; longer than a living server may be silent, which works on one statement or waits for a
 *   lock
 */
export function closeSilentConnections(pool: Pool, silenceMs: number): void {
  pool.on('connect', (client) => {
    const { stream } = client.connection;
    if (!(stream instanceof Socket)) return;
    stream.setTimeout(silenceMs).on('timeout', () => {
      const { bytesRead } = stream;
      // An answer that came while this process was busy is read in this turn.
      setImmediate(() => {
        // A connection that waits for its next statement is silent as well.
        if (stream.bytesRead === bytesRead && Reflect.get(client, 'readyForQuery') === false)
          stream.destroy(new Error(`Connection terminated: the server has been silent for ${silenceMs / 1_000} s`));
      });
    });
  });
}
