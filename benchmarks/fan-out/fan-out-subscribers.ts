/** The subscribers' process of the fan-out benchmark: `fan-out-subscribers.ts URL COUNT`, plain `ws` sockets. */
import { randomUUID } from 'node:crypto';
import { WebSocket } from 'ws';
import { OPERATION, wallClockMs, type SubscriberCommand, type SubscriberMessage } from './fan-out-messages.ts';

const [url = '', count = '0'] = process.argv.slice(2);
/** The most sockets that are opened at once. */
const OPENING = 100;

let outstanding = 0;
let messageBytes = 0;
const say = (message: SubscriberMessage): unknown => process.send?.(message);

function subscriber(): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(url, 'graphql-transport-ws', { perMessageDeflate: false });
    socket.on('error', reject);
    socket.on('open', () => socket.send('{"type":"connection_init"}'));
    let acknowledged = false;
    socket.on('message', (data: Buffer) => {
      if (!acknowledged) {
        acknowledged = true;
        socket.send(JSON.stringify({ id: randomUUID(), type: 'subscribe', payload: { query: OPERATION } }));
        // The server answers this ping after it has handled the subscribe message.
        socket.send('{"type":"ping"}');
      } else if (data.length < 20) resolve();
      else {
        messageBytes = data.length;
        outstanding -= 1;
        if (outstanding === 0) say({ lastAtMs: wallClockMs(), messageBytes });
      }
    });
  });
}

process.on('message', (command: SubscriberCommand) => {
  outstanding = command.expect;
});
for (let opened = 0; opened < Number(count); opened += OPENING) {
  await Promise.all(Array.from({ length: Math.min(OPENING, Number(count) - opened) }, subscriber));
}
say({ connected: Number(count) });
