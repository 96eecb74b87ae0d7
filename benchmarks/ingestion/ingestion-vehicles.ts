/**
 * The vehicles' process of the ingestion benchmark: `ingestion-vehicles.ts URL TOKENS_FILE BATCHES`. It uses plain `ws`
 * sockets, whose messages are built before the clock starts. Each vehicle sends its next batch when the last is
 * acknowledged, as agents do. Prints `STARTED` when the clock starts, and `RESULT {…}` at the end.
 */
import { readFile } from 'node:fs/promises';
import { setTimeout as pause } from 'node:timers/promises';
import { WebSocket } from 'ws';
import { REPORT_MUTATION } from '../../agent/telemetry/metrics/metric-sender.ts';
import { BATCH_ITEMS, batchIdOf, batchOf } from './ingestion-rows.ts';

const [url = '', tokensFile = '', batches = '0'] = process.argv.slice(2);
/** The most sockets that are opened at once. */
const OPENING = 50;
/**
 * Batches that each vehicle sends before the clock starts: code that has run only once or twice is not yet compiled.
 */
const WARM_UP = 1;
const now = Date.now();

interface Answer {
  readonly type: string;
  readonly payload?: {
    readonly data?: { readonly reportMetrics?: { readonly accepted: number } };
    readonly errors?: readonly { readonly message: string; readonly extensions?: { readonly retryAfter?: number } }[];
  };
}

class Vehicle {
  readonly #messages: string[];
  #answered: (answer: Answer) => void = () => undefined;
  #acknowledged: () => void = () => undefined;
  #socket!: WebSocket;
  retries = 0;

  constructor(
    vehicle: number,
    private readonly token: string,
    count: number,
  ) {
    this.#messages = Array.from({ length: count }, (_, batch) =>
      JSON.stringify({
        id: 'report',
        type: 'subscribe',
        payload: {
          query: REPORT_MUTATION,
          variables: { input: { batchId: batchIdOf(batch), items: batchOf(vehicle, batch, now) } },
        },
      }),
    );
  }

  connect(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#acknowledged = resolve;
      this.#socket = new WebSocket(url, 'graphql-transport-ws', { perMessageDeflate: false });
      this.#socket.on('error', reject);
      this.#socket.on('open', () =>
        this.#socket.send(
          JSON.stringify({ type: 'connection_init', payload: { authorization: `Bearer ${this.token}` } }),
        ),
      );
      this.#socket.on('close', (code) => {
        if (code !== 1000) throw new Error(`A vehicle's socket was closed (${code}).`);
      });
      this.#socket.on('message', (data: Buffer) => {
        const answer = JSON.parse(data.toString()) as Answer;
        if (answer.type === 'connection_ack') this.#acknowledged();
        else if (answer.type === 'next') this.#answered(answer);
        else if (answer.type === 'error') throw new Error(data.toString());
      });
    });
  }

  /** Sends the batches from `first` to before `end`, each after the last was stored. */
  async send(first: number, end: number): Promise<void> {
    for (let batch = first; batch < end;) {
      this.#socket.send(this.#messages[batch]!);
      const { payload } = await new Promise<Answer>((resolve) => (this.#answered = resolve));
      const [fault] = payload?.errors ?? [];
      if (fault === undefined && payload?.data?.reportMetrics?.accepted === BATCH_ITEMS) batch += 1;
      else if (fault?.extensions?.retryAfter !== undefined) {
        this.retries += 1;
        await pause(fault.extensions.retryAfter * 1_000);
      } else throw new Error(JSON.stringify(payload));
    }
  }

  close(): void {
    this.#socket.close(1000);
  }
}

const count = Number(batches) + WARM_UP;
const tokens = JSON.parse(await readFile(tokensFile, 'utf8')) as string[];
const vehicles = tokens.map((token, vehicle) => new Vehicle(vehicle, token, count));
for (let opened = 0; opened < vehicles.length; opened += OPENING)
  await Promise.all(vehicles.slice(opened, opened + OPENING).map((vehicle) => vehicle.connect()));
await Promise.all(vehicles.map((vehicle) => vehicle.send(0, WARM_UP)));
console.log('STARTED');
const start = performance.now();
await Promise.all(vehicles.map((vehicle) => vehicle.send(WARM_UP, count)));
const milliseconds = performance.now() - start;
for (const vehicle of vehicles) vehicle.close();
const retries = vehicles.reduce((sum, vehicle) => sum + vehicle.retries, 0);
console.log(
  `RESULT ${JSON.stringify({ milliseconds, rows: vehicles.length * Number(batches) * BATCH_ITEMS, retries })}`,
);
