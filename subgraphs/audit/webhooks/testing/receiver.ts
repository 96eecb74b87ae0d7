/** A receiver of webhooks over HTTP on this machine. */
import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from 'node:http';
import { Webhook } from 'standardwebhooks';
import { eventually } from '../../../../core/testing/eventually.ts';

export interface Received {
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

export type Answering = (response: ServerResponse, received: Received, request: IncomingMessage) => void;

export class Receiver {
  readonly received: Received[] = [];
  /** The requests that are being answered, and the most there were at once. */
  open = 0;
  mostOpen = 0;
  /** Answers a request; 204 by default. */
  answer: Answering = (response) => void response.writeHead(204).end();

  readonly #server = createServer((request, response) => {
    this.open += 1;
    this.mostOpen = Math.max(this.mostOpen, this.open);
    response.on('close', () => (this.open -= 1));
    const parts: Buffer[] = [];
    request.on('data', (part: Buffer) => parts.push(part));
    request.on('end', () => {
      const received = { path: request.url ?? '', headers: request.headers, body: Buffer.concat(parts).toString() };
      this.received.push(received);
      this.answer(response, received, request);
    });
  });

  static async start(): Promise<Receiver> {
    const receiver = new Receiver();
    await new Promise<void>((resolve) => receiver.#server.listen(0, '127.0.0.1', resolve));
    return receiver;
  }

  get port(): number {
    const address = this.#server.address();
    if (address === null || typeof address === 'string') throw new Error('The receiver does not listen.');
    return address.port;
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}/hooks`;
  }

  /** The messages for a path, in the order of their arrival. */
  at(path: string): Received[] {
    return this.received.filter((one) => one.path === path);
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

/** Gives a message's content, as the specification's own library verifies and reads it. */
export function verified(
  secret: string,
  { headers, body }: Received,
): { type: string; timestamp: string; data: object } {
  const named = Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, String(value)]));
  return new Webhook(secret).verify(body, named) as { type: string; timestamp: string; data: object };
}

/** Waits until an assertion holds; fails with what it says in the end. */
export async function holds(assertion: () => unknown): Promise<void> {
  let last: unknown;
  const passes = async () => {
    try {
      await assertion();
      return true;
    } catch (error) {
      last = error;
      return false;
    }
  };
  await eventually(passes).catch(() => {
    throw last;
  });
}
