/** The process that puts load on a server (http-load.ts). */
import { connect, type Socket } from 'node:net';
import { BITS, type LoadMessage, type LoadOrder, type LoadRequest, type LoadResult } from './http-load.ts';

const HEAD_END = Buffer.from('\r\n\r\n');
const LAST_CHUNK = Buffer.from('0\r\n\r\n');
const NO_BODY = new Set([204, 304]);

/** Gives the VIN of a number: sequential, as those of a factory. */
const vinOf = (number: number) => `KMHFF${String(number).padStart(12, '0')}`;

function bitsOf(number: number): string {
  let members = '';
  for (let bit = 0; bit < BITS; bit++)
    members += `${bit === 0 ? '' : ','}"b${bit}":${(number >> bit) & 1 ? 'true' : 'false'}`;
  return encodeURIComponent(members);
}

function textOf({ before, varying, after }: LoadRequest, number: number): string {
  switch (varying.kind) {
    case 'none':
      return before + after;
    case 'vin':
      return before + vinOf(varying.distinct === null ? number : number % varying.distinct) + after;
    case 'bits':
      return before + bitsOf(number) + after;
  }
}

const tell = (message: LoadMessage): unknown => process.send?.(message);

function percentile(sorted: Float64Array, share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? NaN;
}

class Load {
  #number: number;
  #measuring = false;
  #over = false;
  #latencies = new Float64Array(1 << 16);
  #answers = 0;
  #others = 0;
  #firstOther: string | null = null;
  #bodyBytes = 0;
  readonly #sockets: Socket[] = [];

  constructor(readonly order: LoadOrder) {
    this.#number = order.from;
  }

  async run(): Promise<LoadResult> {
    const { connections, warmUpMs, measuredMs, requests } = this.order;
    const failed = new Promise<never>((_, reject) => {
      for (let index = 0; index < connections; index++) {
        const request = requests[index % requests.length];
        if (request !== undefined) this.#open(request, reject);
      }
    });
    const measured = async () => {
      await new Promise((resolve) => setTimeout(resolve, warmUpMs));
      tell({ begun: true });
      this.#measuring = true;
      const [cpu, from] = [process.cpuUsage(), performance.now()];
      await new Promise((resolve) => setTimeout(resolve, measuredMs));
      this.#measuring = false;
      this.#over = true;
      const { user, system } = process.cpuUsage(cpu);
      const sorted = this.#latencies.subarray(0, this.#answers).sort();
      return {
        answers: this.#answers,
        perSecond: (this.#answers / (performance.now() - from)) * 1_000,
        p50Ms: percentile(sorted, 0.5),
        p99Ms: percentile(sorted, 0.99),
        bodyBytes: this.#bodyBytes,
        others: this.#others,
        firstOther: this.#firstOther,
        clientCpuSeconds: (user + system) / 1e6,
        next: this.#number,
      };
    };
    try {
      return await Promise.race([measured(), failed]);
    } finally {
      this.#over = true;
      for (const socket of this.#sockets) socket.destroy();
    }
  }

  #open(request: LoadRequest, fail: (error: Error) => void): void {
    const socket = connect({ port: this.order.port, host: '127.0.0.1', noDelay: true });
    this.#sockets.push(socket);
    let sentAt = 0;
    let rest: Buffer | null = null;
    const send = () => {
      sentAt = performance.now();
      socket.write(textOf(request, this.#number++), 'latin1');
    };
    socket.on('connect', send);
    socket.on('error', fail);
    socket.on('close', () => this.#over || fail(new Error('The server has closed a connection.')));
    socket.on('data', (chunk) => {
      const data = rest === null ? chunk : Buffer.concat([rest, chunk]);
      const bodyBytes = this.#wholeBody(data);
      if (bodyBytes === null) {
        rest = data;
        return;
      }
      rest = null;
      if (this.#over) return;
      this.#count(data, bodyBytes, performance.now() - sentAt);
      send();
    });
  }

  /** Gives the length of the answer's body, or null where it has not arrived in whole. */
  #wholeBody(data: Buffer): number | null {
    const headEnd = data.indexOf(HEAD_END);
    if (headEnd < 0) return null;
    if (NO_BODY.has(statusOf(data))) return 0;
    const arrived = data.length - headEnd - HEAD_END.length;
    const length = /\r\ncontent-length: (\d+)/i.exec(data.toString('latin1', 0, headEnd))?.[1];
    if (length === undefined) return data.subarray(-LAST_CHUNK.length).equals(LAST_CHUNK) ? arrived : null;
    return arrived >= Number(length) ? Number(length) : null;
  }

  #count(data: Buffer, bodyBytes: number, latencyMs: number): void {
    if (!this.#measuring) return;
    if (statusOf(data) !== this.order.status) {
      this.#others += 1;
      this.#firstOther ??= data.toString('latin1', 0, 2_000);
      return;
    }
    if (this.#answers === this.#latencies.length) {
      const more = new Float64Array(this.#latencies.length * 2);
      more.set(this.#latencies);
      this.#latencies = more;
    }
    this.#latencies[this.#answers++] = latencyMs;
    this.#bodyBytes = bodyBytes;
  }
}

/** Reads the status of `HTTP/1.1 200 OK`. */
function statusOf(data: Buffer): number {
  return Number(data.toString('latin1', 9, 12));
}

process.on('message', (order: LoadOrder) => {
  new Load(order).run().then(
    (result) => tell({ result }),
    (error: unknown) => {
      console.error(error);
      process.exit(1);
    },
  );
});
