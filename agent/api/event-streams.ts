/**
 * The event streams of OFREP 0.3. An event makes a program fetch all flags again; the stock providers for web pages and
 * phones do not poll. Sources: https://github.com/open-feature/protocol, ADR-0008 and
 * event-streams.yaml; https://html.spec.whatwg.org/multipage/server-sent-events.html.
 */
import { randomBytes } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { unattended } from '../../core/last-handler/unattended.ts';
import type { FleetFlagAgent } from '../assembly/fleet-flag-agent.ts';

/** The path at which programs of the vehicle subscribe to events. */
export const EVENTS_PATH = '/v1/events';

/** The parts of the agent that event streams need. */
export type ChangeSource = Pick<FleetFlagAgent, 'onChange' | 'onContact'> & {
  status(): { readonly ready: boolean; readonly staleFlags: number };
};

/** The limits of event streams. */
export interface EventStreamLimits {
  readonly maxStreams: number;
  /** The milliseconds between two comments that keep a stream alive. */
  readonly heartbeatMs: number;
  /**
   * The milliseconds after which a stream is ended. Up to half as many are added at random, so that clients do not all
   * reconnect at once.
   */
  readonly lifeMs: number;
}

/** The default limits: enough streams for all programs of a vehicle, and few enough for the agent's memory. */
export const EVENT_STREAM_LIMITS: EventStreamLimits = { maxStreams: 100, heartbeatMs: 20_000, lifeMs: 1_800_000 };

/** The milliseconds after which a client reconnects when its stream has ended. */
const RETRY_MS = 1000;

/** The pending writes of one stream, some hundred bytes each, beyond which its client counts as slow. */
const MAX_WAITING = 8;
/** The milliseconds after which a stream that is ending is cut off, because its client does not read. */
const END_MS = 200;

interface Stream {
  readonly response: ServerResponse;
  /** The number of writes that have not left the process yet. */
  waiting: number;
  /** Whether a newer state waits until the pending writes have left. */
  behind: boolean;
  /** Whether a write has left, or none was pending, since the last heartbeat. */
  moved: boolean;
  /** The time at which the stream is ended, in milliseconds of `performance.now()`. */
  readonly until: number;
}

/** Keeps event streams to programs and notifies them when flags have changed. */
export class EventStreams {
  readonly #agent: ChangeSource;
  readonly #limits: EventStreamLimits;
  readonly #streams = new Set<Stream>();
  readonly #unsubscribes: (() => void)[];
  /** An id of this process in event ids, so that all clients fetch all flags again after a restart. */
  readonly #start = randomBytes(6).toString('base64url');
  #changes = 0;
  #announcing = false;
  #stale = 0;
  #heartbeat: NodeJS.Timeout | undefined;

  constructor(agent: ChangeSource, limits: EventStreamLimits) {
    this.#agent = agent;
    this.#limits = limits;
    this.#unsubscribes = [agent.onChange(() => this.#changed()), agent.onContact(() => this.#checkStaleness())];
  }

  /**
   * Opens a stream. A client whose `Last-Event-ID` is not the newest state gets an event at once, so that it misses no
   * change between its last request and now. At the limit of streams, one that hangs, or else the oldest, is ended to
   * make room; its client reconnects if it is still running. The agent cannot know whether it is: the kernel's buffers
   * hold hours of comments for a client that reads nothing.
   */
  open(request: IncomingMessage, response: ServerResponse, headers: Readonly<Record<string, string>>): void {
    if (this.#streams.size >= this.#limits.maxStreams) {
      const streams = [...this.#streams];
      const evicted = streams.find(({ waiting }) => waiting > 0) ?? streams[0];
      if (evicted !== undefined) unattended(this.#end(evicted), 'Ending an event stream');
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
    // The connection must end with the stream.
    response.shouldKeepAlive = false;
    response.writeHead(200, {
      'content-type': 'text/event-stream; charset=utf-8',
      'x-accel-buffering': 'no',
      ...headers,
    });
    this.#write(stream, `retry: ${RETRY_MS}\n\n`);
    if (request.headers['last-event-id'] !== this.#id()) this.#notify(stream);
    this.#heartbeat ??= setInterval(() => this.#beat(), this.#limits.heartbeatMs).unref();
  }

  /** Ends every stream in the regular way, so that clients reconnect to the next agent. */
  async close(): Promise<void> {
    for (const unsubscribe of this.#unsubscribes) unsubscribe();
    await Promise.all([...this.#streams].map((stream) => this.#end(stream)));
  }

  /** Ends a stream in the regular way and stops counting it. Resolves when its connection is closed. */
  #end(stream: Stream): Promise<void> {
    const { response } = stream;
    this.#remove(stream);
    return new Promise((resolve) => {
      // A client that does not read must not hold up the end.
      const timer = setTimeout(() => response.destroy(), END_MS);
      response.once('close', () => (clearTimeout(timer), resolve())).end();
    });
  }

  #id(): string {
    return `${this.#start}-${this.#changes}`;
  }

  /** Announces changes. Changes that the agent applies together make one event. */
  #changed(): void {
    if (this.#announcing) return;
    this.#announcing = true;
    queueMicrotask(() => {
      this.#announcing = false;
      this.#changes++;
      for (const stream of this.#streams) this.#notify(stream);
    });
  }

  #notify(stream: Stream): void {
    stream.behind = stream.waiting >= MAX_WAITING;
    // Only the newest state matters. A slow client gets one event when its pending writes have left.
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
      if (stream.behind && stream.waiting === 0 && this.#streams.has(stream)) this.#notify(stream);
    });
  }

  #beat(): void {
    this.#checkStaleness();
    for (const stream of this.#streams) {
      if (performance.now() >= stream.until) {
        unattended(this.#end(stream), 'Ending an event stream');
        continue;
      }
      // No write has left since the last heartbeat, so the client hangs or is gone.
      if (!stream.moved) stream.response.destroy();
      stream.moved = stream.waiting === 0;
      if (stream.moved) this.#write(stream, ':\n\n');
    }
  }

  /** Announces flags that have gone stale or fresh. Their values change, but the agent sees no change of a flag. */
  #checkStaleness(): void {
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
