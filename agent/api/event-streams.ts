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

/** The pending writes of one stream, some hundred bytes each, at which its client counts as slow. */
const MAX_PENDING_WRITES = 8;
/**
 * The milliseconds after which the connection of a stream that is ending is closed, although its client does not read.
 */
const END_MS = 200;

/** The event stream of one client. */
interface Stream {
  readonly response: ServerResponse;
  /** The number of writes that have not left the process yet. */
  pendingWrites: number;
  /** Whether an event is due once the pending writes have left. */
  isEventDue: boolean;
  /** Whether a write has left, or none was pending, since the last heartbeat. Otherwise the client hangs or is gone. */
  isAlive: boolean;
  /** The reading of `performance.now()` at which the stream is ended. */
  readonly endAtMs: number;
}

/** Holds the event streams of programs, and sends them an event when flags have changed. */
export class EventStreams {
  readonly #agent: ChangeSource;
  readonly #limits: EventStreamLimits;
  readonly #streams = new Set<Stream>();
  readonly #unsubscribes: (() => void)[];
  /** The part of event ids that is new after a restart, so that all clients then fetch all flags again. */
  readonly #startId = randomBytes(6).toString('base64url');
  /** The number of events so far. The id of an event names it. */
  #events = 0;
  /** Whether an event for changes of the present turn of the event loop is about to be sent. */
  #isAnnouncing = false;
  /** The number of stale flags that clients know of. */
  #staleFlags = 0;
  #heartbeat: NodeJS.Timeout | undefined;

  constructor(agent: ChangeSource, limits: EventStreamLimits) {
    this.#agent = agent;
    this.#limits = limits;
    this.#unsubscribes = [agent.onChange(() => this.#changed()), agent.onContact(() => this.#checkStaleness())];
  }

  /**
   * Opens a stream. A client whose `Last-Event-ID` is not the id of the newest event gets an event at once, so that it
   * misses no change between its last request and now. At the limit of streams, one that hangs, or else the oldest, is
   * ended to make room; its client reconnects if it is still running. The agent cannot know whether it is: the kernel's
   * buffers hold hours of comments for a client that reads nothing.
   */
  open(request: IncomingMessage, response: ServerResponse, headers: Readonly<Record<string, string>>): void {
    if (this.#streams.size >= this.#limits.maxStreams) {
      const streams = [...this.#streams];
      const evicted = streams.find(({ pendingWrites }) => pendingWrites > 0) ?? streams[0];
      if (evicted !== undefined) unattended(this.#end(evicted), 'Ending an event stream');
    }
    const stream: Stream = {
      response,
      pendingWrites: 0,
      isEventDue: false,
      isAlive: true,
      endAtMs: performance.now() + this.#limits.lifeMs * (1 + Math.random() / 2),
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
    return `${this.#startId}-${this.#events}`;
  }

  /** Announces changes. Changes that the agent applies together make one event. */
  #changed(): void {
    if (this.#isAnnouncing) return;
    this.#isAnnouncing = true;
    queueMicrotask(() => {
      this.#isAnnouncing = false;
      this.#events++;
      for (const stream of this.#streams) this.#notify(stream);
    });
  }

  #notify(stream: Stream): void {
    stream.isEventDue = stream.pendingWrites >= MAX_PENDING_WRITES;
    // All events have the client do the same. A slow one gets a single event when its pending writes have left.
    if (stream.isEventDue) return;
    const id = this.#id();
    this.#write(
      stream,
      `id: ${id}\nevent: message\ndata: ${JSON.stringify({ type: 'refetchEvaluation', etag: id })}\n\n`,
    );
  }

  #write(stream: Stream, text: string): void {
    stream.pendingWrites++;
    stream.response.write(text, () => {
      stream.pendingWrites--;
      stream.isAlive = true;
      if (stream.isEventDue && stream.pendingWrites === 0 && this.#streams.has(stream)) this.#notify(stream);
    });
  }

  #beat(): void {
    this.#checkStaleness();
    for (const stream of this.#streams) {
      if (performance.now() >= stream.endAtMs) {
        unattended(this.#end(stream), 'Ending an event stream');
        continue;
      }
      if (!stream.isAlive) stream.response.destroy();
      stream.isAlive = stream.pendingWrites === 0;
      if (stream.isAlive) this.#write(stream, ':\n\n');
    }
  }

  /** Announces flags that have gone stale or fresh. Their values change, but the agent sees no change of a flag. */
  #checkStaleness(): void {
    const { staleFlags } = this.#agent.status();
    if (staleFlags === this.#staleFlags) return;
    this.#staleFlags = staleFlags;
    this.#changed();
  }

  #remove(stream: Stream): void {
    this.#streams.delete(stream);
    if (this.#streams.size > 0) return;
    clearInterval(this.#heartbeat);
    this.#heartbeat = undefined;
  }
}
