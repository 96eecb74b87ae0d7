/**
 * The event streams of OFREP 0.3: they tell programs with a stock provider for pages or phones, which do not poll, that
 * they are to ask for all flags again. Sources: https://github.com/open-feature/protocol, ADR-0008 and
 * event-streams.yaml; https://html.spec.whatwg.org/multipage/server-sent-events.html.
 */
import { randomBytes } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { unattended } from '../../core/async/unattended.ts';
import type { FleetFlagAgent } from '../fleet-flag-agent.ts';

export const EVENTS_PATH = '/v1/events';

/** What the streams need of the agent. */
export type Changing = Pick<FleetFlagAgent, 'onChange' | 'onContact'> & {
  status(): { readonly ready: boolean; readonly staleFlags: number };
};

export interface EventStreamLimits {
  readonly maxStreams: number;
  /** Milliseconds between two comments that keep a stream alive. */
  readonly heartbeatMs: number;
  /**
   * Milliseconds after which a stream is ended, and up to half as many at random, so that not all clients come back at
   * once.
   */
  readonly lifeMs: number;
}

/** As many programs as a vehicle has, each with a page or two: more would take the memory of the rest. */
export const EVENT_STREAM_LIMITS: EventStreamLimits = { maxStreams: 100, heartbeatMs: 20_000, lifeMs: 1_800_000 };

/** Milliseconds after which a client whose stream has ended comes back. */
const RETRY_MS = 1000;

/** Writes of one stream that wait in our memory, some hundred bytes each: beyond, its client is slow. */
const MAX_WAITING = 8;
/** Milliseconds that the end of a stream may take. */
const END_MS = 200;

interface Stream {
  readonly response: ServerResponse;
  /** Writes that have not left yet. */
  waiting: number;
  /** Whether there is something new that waits until what was written has left. */
  behind: boolean;
  /** Whether anything has left, or nothing waited, since the last heartbeat. */
  moved: boolean;
  /** When the stream is ended, in milliseconds of `performance.now()`. */
  readonly until: number;
}

export class EventStreams {
  readonly #agent: Changing;
  readonly #limits: EventStreamLimits;
  readonly #streams = new Set<Stream>();
  readonly #endings: (() => void)[];
  /** Tells this process from the one before: after a start everybody asks again. */
  readonly #start = randomBytes(6).toString('base64url');
  #changes = 0;
  #announcing = false;
  #stale = 0;
  #heartbeat: NodeJS.Timeout | undefined;

  constructor(agent: Changing, limits: EventStreamLimits) {
    this.#agent = agent;
    this.#limits = limits;
    this.#endings = [agent.onChange(() => this.#changed()), agent.onContact(() => this.#lookForAge())];
  }

  /**
   * Opens a stream. A client that does not have the newest state, by the `Last-Event-ID` that it sends, is told so at
   * once: whatever changed since it asked for its flags, or while it was away, is no loss. Where there are as many
   * streams as there may be, one that hangs, or else the oldest, makes room: its client comes back if it still lives.
   * Nobody can tell from here: a client that reads nothing has all comments of hours in the kernel's buffers.
   */
  open(request: IncomingMessage, response: ServerResponse, headers: Readonly<Record<string, string>>): void {
    if (this.#streams.size >= this.#limits.maxStreams) {
      const streams = [...this.#streams];
      const given = streams.find(({ waiting }) => waiting > 0) ?? streams[0];
      if (given !== undefined) unattended(this.#end(given), 'Ending an event stream');
    }
    const stream: Stream = {
      response,
      waiting: 0,
      behind: false,
      moved: true,
      until: performance.now() + this.#limits.lifeMs * (1 + Math.random() / 2),
    };
    this.#streams.add(stream);
    response.on('close', () => this.#remove(stream));
    // What ends the stream ends the connection.
    response.shouldKeepAlive = false;
    response.writeHead(200, {
      'content-type': 'text/event-stream; charset=utf-8',
      'x-accel-buffering': 'no',
      ...headers,
    });
    this.#write(stream, `retry: ${RETRY_MS}\n\n`);
    if (request.headers['last-event-id'] !== this.#id()) this.#tell(stream);
    this.#heartbeat ??= setInterval(() => this.#beat(), this.#limits.heartbeatMs).unref();
  }

  /** Ends every stream in order: clients come back to the agent that starts next. */
  async close(): Promise<void> {
    for (const end of this.#endings) end();
    await Promise.all([...this.#streams].map((stream) => this.#end(stream)));
  }

  /** Ends a stream in order; from now on it counts no more. Resolves when its connection is closed. */
  #end(stream: Stream): Promise<void> {
    const { response } = stream;
    this.#remove(stream);
    return new Promise((resolve) => {
      // Nobody waits for a client that does not read.
      const timer = setTimeout(() => response.destroy(), END_MS);
      response.once('close', () => (clearTimeout(timer), resolve())).end();
    });
  }

  #id(): string {
    return `${this.#start}-${this.#changes}`;
  }

  /** Changes that the agent applied together are one event. */
  #changed(): void {
    if (this.#announcing) return;
    this.#announcing = true;
    queueMicrotask(() => {
      this.#announcing = false;
      this.#changes++;
      for (const stream of this.#streams) this.#tell(stream);
    });
  }

  #tell(stream: Stream): void {
    stream.behind = stream.waiting >= MAX_WAITING;
    // Only the newest state matters: a slow client gets one event when it has read what was before, not all of them.
    if (stream.behind) return;
    const id = this.#id();
    this.#write(
      stream,
      `id: ${id}\nevent: message\ndata: ${JSON.stringify({ type: 'refetchEvaluation', etag: id })}\n\n`,
    );
  }

  #write(stream: Stream, text: string): void {
    stream.waiting++;
    stream.response.write(text, () => {
      stream.waiting--;
      stream.moved = true;
      if (stream.behind && stream.waiting === 0 && this.#streams.has(stream)) this.#tell(stream);
    });
  }

  #beat(): void {
    this.#lookForAge();
    for (const stream of this.#streams) {
      if (performance.now() >= stream.until) {
        unattended(this.#end(stream), 'Ending an event stream');
        continue;
      }
      // Nothing has left since the last heartbeat: the client hangs, or is gone without a word.
      if (!stream.moved) stream.response.destroy();
      stream.moved = stream.waiting === 0;
      if (stream.moved) this.#write(stream, ':\n\n');
    }
  }

  /** Flags change by age, too, which is no change of the flag: past their TTL they give their defaults. */
  #lookForAge(): void {
    const { staleFlags } = this.#agent.status();
    if (staleFlags === this.#stale) return;
    this.#stale = staleFlags;
    this.#changed();
  }

  #remove(stream: Stream): void {
    this.#streams.delete(stream);
    if (this.#streams.size > 0) return;
    clearInterval(this.#heartbeat);
    this.#heartbeat = undefined;
  }
}
