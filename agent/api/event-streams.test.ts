import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { once } from 'node:events';
import type { ServerResponse } from 'node:http';
import { connect, type Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { OFREPWebProvider } from '@openfeature/ofrep-web-provider';
import { OpenFeature, ProviderEvents } from '@openfeature/web-sdk';
import { EventSource } from 'eventsource';
import type { FlagChange } from '../assembly/agent-events.ts';
import { TestControlPlane } from '../testing/control-plane.ts';
import { sourceOf, testFlag } from '../testing/held-flags.ts';
import { TestVehicle } from '../testing/test-vehicle.ts';
import { eventually } from '../../core/testing/eventually.ts';
import { EVENT_STREAM_LIMITS, type EventStreamLimits } from './event-streams.ts';
import { LocalServer, type LocalServerOptions } from './local-server.ts';
import { KILL } from '../testing/rules.ts';

const servers = new Set<LocalServer>();

afterEach(async () => {
  for (const server of servers) await server.close();
  servers.clear();
});

async function serve(
  options: Partial<LocalServerOptions> & Pick<LocalServerOptions, 'agent'>,
): Promise<{ server: LocalServer; base: string }> {
  const server = new LocalServer({ host: '127.0.0.1', port: 0, ...options });
  servers.add(server);
  return { server, base: await server.listen() };
}

describe('the stock web provider', () => {
  let plane: TestControlPlane;
  let vehicle: TestVehicle;
  const browser = globalThis as { EventSource?: unknown };

  beforeEach(async () => {
    browser.EventSource = EventSource;
    plane = await TestControlPlane.start();
    vehicle = await TestVehicle.create(plane);
    await plane.put('lane-keep', { defaultValue: true });
    await plane.put('seat-heat');
  });

  afterEach(async () => {
    await OpenFeature.clearProviders();
    OpenFeature.clearHandlers();
    delete browser.EventSource;
    await vehicle.dispose();
    await plane.stop();
  });

  async function startPage(baseUrl: string) {
    const changes: string[][] = [];
    await OpenFeature.setProviderAndWait('page', new OFREPWebProvider({ baseUrl, cacheMode: 'disabled' }));
    const client = OpenFeature.getClient('page');
    client.addHandler(
      ProviderEvents.ConfigurationChanged,
      (details) => void changes.push([...(details?.flagsChanged ?? [])]),
    );
    return { client, changes };
  }

  test('hears of a kill switch without polling', async () => {
    const agent = await vehicle.start();
    await agent.ready();
    const { base } = await serve({ agent });
    const { client, changes } = await startPage(base);
    expect(client.getBooleanValue('lane-keep', false)).toBe(true);
    await plane.put('lane-keep', { defaultValue: false, rules: [KILL] });
    await eventually(() => changes.length > 0, 'the page has heard');
    expect(changes).toEqual([['lane-keep']]);
    expect(client.getBooleanDetails('lane-keep', true)).toMatchObject({ value: false, reason: 'DISABLED' });
  });

  test('hears after the agent’s restart what changed meanwhile', async () => {
    const before = await vehicle.start();
    await before.ready();
    const { server, base } = await serve({ agent: before });
    const { client, changes } = await startPage(base);
    const stale = once(new HandlerTarget(client), 'stale');
    await server.close();
    await before.close();
    await stale;
    await plane.put('lane-keep', { defaultValue: false, rules: [KILL] });
    const agent = await vehicle.start();
    await eventually(() => agent.status().revision === 3, 'the agent has it');
    await serve({ agent, port: Number(new URL(base).port) });
    await eventually(() => changes.length > 0, 'the page has heard');
    expect(changes).toEqual([['lane-keep']]);
    expect(client.getBooleanValue('lane-keep', true)).toBe(false);
  });
});

/** An event target on a client's events, for `once`. */
class HandlerTarget extends EventTarget {
  constructor(client: ReturnType<typeof OpenFeature.getClient>) {
    super();
    client.addHandler(ProviderEvents.Stale, () => void this.dispatchEvent(new Event('stale')));
  }
}

/** An agent whose flags change when the test says so. */
function changingAgent() {
  const listeners = new Set<(change: FlagChange) => void>();
  let staleFlags = 0;
  const agent = {
    ...sourceOf([testFlag('a')]),
    track: () => undefined,
    reportFault: () => undefined,
    faultsWritten: async () => undefined,
    setVehicleState: () => Promise.resolve(),
    status: () => ({ ready: true, staleFlags }) as never,
    onChange: (listener: (change: FlagChange) => void) => (
      listeners.add(listener),
      () => void listeners.delete(listener)
    ),
    onContact: () => () => undefined,
  };
  return {
    agent,
    listeners,
    age: (flags: number) => (staleFlags = flags),
    change: (...keys: string[]) =>
      keys.forEach((key) => listeners.forEach((listener) => listener({ key, revision: 1, removed: false }))),
  };
}

interface ReadStream {
  readonly status: number;
  readonly text: () => string;
  /** Ids of the events so far. */
  readonly ids: () => string[];
  /** Resolves when the stream has ended in order; rejects where it was cut off. */
  readonly ended: Promise<void>;
}

async function read(base: string, headers: Record<string, string> = {}): Promise<ReadStream> {
  const response = await fetch(`${base}/v1/events`, { headers });
  let text = '';
  const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
  const ended = (async () => {
    for (let part = await reader.read(); !part.done; part = await reader.read()) text += part.value;
  })();
  ended.catch(() => undefined);
  return {
    status: response.status,
    text: () => text,
    ids: () => [...text.matchAll(/^id: (.*)$/gm)].map(([, id]) => id!),
    ended,
  };
}

describe('an event stream', () => {
  const LIMITS: EventStreamLimits = { ...EVENT_STREAM_LIMITS, heartbeatMs: 15 };

  test('is named in the answer with all flags, and has the form of OFREP 0.3', async () => {
    const { agent, change } = changingAgent();
    const { base } = await serve({ agent });
    const bulk = await fetch(`${base}/ofrep/v1/evaluate/flags`, {
      method: 'POST',
      body: '{}',
      headers: { 'content-type': 'application/json' },
    });
    expect(await bulk.json()).toMatchObject({ eventStreams: [{ type: 'sse', url: `${base}/v1/events` }] });
    const response = await fetch(`${base}/v1/events`);
    expect(response.headers.get('content-type')).toBe('text/event-stream; charset=utf-8');
    expect(response.headers.get('cache-control')).toBe('no-store');
    await response.body!.cancel();
    const stream = await read(base);
    change('a');
    await eventually(() => stream.ids().length === 2, 'two events');
    const [first, second] = stream.ids();
    const event = (id: string) => `id: ${id}\nevent: message\ndata: {"type":"refetchEvaluation","etag":"${id}"}\n\n`;
    expect(stream.text()).toBe(`retry: 1000\n\n${event(first!)}${event(second!)}`);
  });

  test('notifies a client at once of what it has missed, and not where it has the newest state', async () => {
    const { agent, change } = changingAgent();
    const { base } = await serve({ agent, eventStreams: LIMITS });
    const first = await read(base);
    await eventually(() => first.ids().length === 1, 'the first event');
    const current = await read(base, { 'last-event-id': first.ids()[0]! });
    await eventually(() => current.text().includes('\n:\n'), 'a heartbeat');
    expect(current.ids()).toEqual([]);
    change('a', 'b', 'c');
    await eventually(() => current.ids().length === 1 && first.ids().length === 2, 'all three as one event');
    const late = await read(base, { 'last-event-id': first.ids()[0]! });
    await eventually(() => late.ids().length === 1, 'what it has missed');
    expect(late.ids()).toEqual(current.ids());
    // Another process has other event ids.
    const { base: other } = await serve({ agent: changingAgent().agent });
    const moved = await read(other, { 'last-event-id': first.ids()[0]! });
    await eventually(() => moved.ids().length === 1, 'the client gets an event');
  });

  test('announces flags that have gone stale, though they have not changed', async () => {
    const { agent, age } = changingAgent();
    const { base } = await serve({ agent, eventStreams: LIMITS });
    const stream = await read(base);
    await eventually(() => stream.ids().length === 1, 'the first event');
    age(1);
    await eventually(() => stream.ids().length === 2, 'the second event');
  });

  test('ends in order when the agent stops, and its listeners go with it', async () => {
    const { agent, listeners } = changingAgent();
    const { server, base } = await serve({ agent });
    const streams = await Promise.all([read(base), read(base), read(base)]);
    await eventually(() => streams.every((stream) => stream.ids().length === 1), 'all have begun');
    await server.close();
    await Promise.all(streams.map(({ ended }) => ended));
    expect(listeners.size).toBe(0);
  });

  test('at the limit ends in the regular way to make room for the next, even if its client may still read', async () => {
    const { agent, change } = changingAgent();
    const { base } = await serve({ agent, eventStreams: { ...LIMITS, maxStreams: 3 } });
    const silent = await Promise.all(
      [1, 2].map(async () => {
        const socket = connect(Number(new URL(base).port), '127.0.0.1').on('error', () => undefined);
        socket.write('GET /v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n');
        await once(socket, 'data');
        return socket.pause();
      }),
    );
    const third = await read(base);
    const next = [await read(base), await read(base)];
    await eventually(() => next.every((stream) => stream.ids().length === 1), 'the newer ones have begun');
    expect((await fetch(`${base}/v1/status`)).status).toBe(200);
    change('a');
    await eventually(() => [third, ...next].every((stream) => stream.ids().length === 2), 'those that read hear of it');
    const last = await read(base, { 'last-event-id': third.ids()[1]! });
    await third.ended;
    await eventually(() => last.text().includes('\n:\n'), 'the last lives, and has missed nothing');
    expect(last.ids()).toEqual([]);
    for (const socket of silent) socket.destroy();
  });

  test('shows again and again that it is alive', async () => {
    const stream = await read((await serve({ agent: changingAgent().agent, eventStreams: LIMITS })).base);
    await eventually(() => stream.text().split('\n:\n').length > 2, 'two heartbeats have arrived');
  });

  test('ends in the regular way after its lifetime, and its client reconnects without losing an event', async () => {
    const { agent } = changingAgent();
    const { base } = await serve({ agent, eventStreams: { ...LIMITS, lifeMs: 60 } });
    const first = await read(base);
    await first.ended;
    const again = await read(base, { 'last-event-id': first.ids()[0]! });
    await again.ended;
    expect(again.ids()).toEqual([]);
  });

  test('is refused to pages that were not let in', async () => {
    const { base } = await serve({ agent: changingAgent().agent, allowedOrigins: ['http://hmi.local'] });
    expect((await fetch(`${base}/v1/events`, { headers: { origin: 'http://evil.example' } })).status).toBe(403);
    const own = await fetch(`${base}/v1/events`, { headers: { origin: 'http://hmi.local' } });
    expect([own.status, own.headers.get('access-control-allow-origin')]).toEqual([200, 'http://hmi.local']);
    await own.body!.cancel();
  });

  test('of a client that does not read holds few events, ends when the client hangs, and holds up no other', async () => {
    const { agent, change } = changingAgent();
    const { base } = await serve({ agent, eventStreams: { maxStreams: 3, heartbeatMs: 100, lifeMs: 600_000 } });
    let dropped = false;
    let held: ServerResponse | undefined;
    const note = (message: unknown) => (held ??= (message as { readonly response: ServerResponse }).response);
    subscribe('http.server.request.start', note);
    const hanging: Socket = connect(Number(new URL(base).port), '127.0.0.1').on('error', () => (dropped = true));
    hanging.write('GET /v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n');
    await once(hanging, 'data');
    unsubscribe('http.server.request.start', note);
    hanging.pause();
    const reading = await read(base);
    let changed = 0;
    let mostHeld = 0;
    // As many as the kernel's buffers do not hold.
    await eventually(
      async () => {
        for (let round = 0; round < 500; round++) {
          change('a');
          changed++;
          mostHeld = Math.max(mostHeld, held!.writableLength);
          // Few at a time, as many as may wait: with each on its own, a busy machine takes a minute to fill the
          // buffers.
          await (round % 4 === 3 ? new Promise((resolve) => setImmediate(resolve)) : null);
        }
        // It reads nothing, so that only its writes show its end; blank lines before a request count for nothing.
        hanging.write('\r\n');
        return dropped;
        // A busy machine fills the buffers slowly.
      },
      'the hanging one is dropped',
      50_000,
    );
    change('a');
    const [, newest] = /-(\d+)$/.exec((await read(base)).ids().at(-1) ?? `-${changed + 1}`)!;
    await eventually(() => reading.ids().at(-1)?.endsWith(`-${newest}`) === true, 'the other has the newest');
    // Eight events wait at most; each has some hundred bytes, and its chunk a few more.
    expect(mostHeld).toBeGreaterThan(0);
    expect(mostHeld).toBeLessThan(8 * 200);
    hanging.destroy();
  });
});
