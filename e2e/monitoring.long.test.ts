/**
 * The monitoring of a deployment: metrics, traces, request ids and readiness, over processes. Gateways and subgraphs
 * are in processes of their own in either form of the deployment.
 */
import { randomBytes, randomUUID } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { metricsNamedIn, METRIC_FILES, namesIn } from '../tests/testing/named-metrics.ts';
import { ADMIN, DISTRIBUTED, Deployment } from './harness/deployment.ts';
import { Api, Listener } from './harness/api.ts';
import { eventually } from './harness/process.ts';
import { TraceReceiver, type ReceivedSpan } from './harness/trace-receiver.ts';
import { VehicleProcess } from './harness/vehicle.ts';

const VIN = 'KMHK281HGNU000001';
const SECRET_TEXT = 'a-text-that-only-variables-have';
const CREATE = 'mutation ($input: CreateFlagInput!) { createFlag(input: $input) { applied } }';
const flag = (key: string) => ({
  input: {
    key,
    name: SECRET_TEXT,
    type: 'BOOLEAN',
    defaultValue: false,
    safetyLevel: 'NON_CRITICAL',
    environment: 'PRODUCTION',
    enabled: true,
  },
});

let receiver: TraceReceiver;
let deployment: Deployment;
let admin: Api;
let vehicle: VehicleProcess;

beforeAll(async () => {
  receiver = await TraceReceiver.start();
  deployment = await Deployment.start(
    {
      LOG_LEVEL: 'debug',
      OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url,
      OTEL_EXPORTER_OTLP_HEADERS: 'x-tenant=fleet%20one',
      FLEETFLAG_TRACE_RATIO: '0',
      FLEETFLAG_SHUTDOWN_DELAY_SECONDS: '3',
    },
    undefined,
    ['--workers', '2'],
  );
  admin = await Api.admin(deployment);
  vehicle = await VehicleProcess.start(deployment.wsUrl, await admin.vehicle(VIN), ['--metrics-seconds', '0.2']);
}, 120_000);
afterAll(async () => {
  await vehicle?.remove();
  await deployment?.remove();
  await receiver?.close();
}, 60_000);

/** Gives what `/metrics` of each process answers. */
async function scrapes(): Promise<string[]> {
  return Promise.all(
    [...deployment.ports.values()].map(async (port) => {
      const response = await fetch(`http://127.0.0.1:${port}/metrics`);
      expect(response.status).toBe(200);
      return response.text();
    }),
  );
}

/** Gives the sum of a metric's samples over all processes. */
async function sumOf(name: string, labels = ''): Promise<number> {
  const lines = (await scrapes()).flatMap((text) => text.split('\n'));
  const own = lines.filter((line) => line.startsWith(`${name}{`) || line.startsWith(`${name} `));
  return own
    .filter((line) => line.includes(labels))
    .reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' ') + 1)), 0);
}

describe('metrics', () => {
  test('count what a vehicle, people and strangers have done, in every role', async () => {
    await admin.ok(CREATE, flag('seen'));
    await admin.ok(
      'mutation { createRule(flagKey: "seen", input: { type: VEHICLE_WHITELIST, conditions: { vins: ["' +
        VIN +
        '"] } }) { applied } }',
    );
    await vehicle.serves('seen', true);
    await vehicle.track({ metric: 'energy_kwh', value: 1, flagKey: 'seen' });
    await admin.ask('{ flags { nodes { key } } }');
    await admin.ask(`{ vehicle(vin: "${VIN}") { status } }`);
    await admin.ask('{ auditLogs(first: 1) { totalCount } }');
    await admin.ask('{ flag(key: "seen") { metricNames } }');
    await new Api(deployment).ask(
      'mutation ($email: String!) { login(email: $email, password: "wrong wrong wrong") { token } }',
      { email: 'stranger@example.com' },
    );
    await fetch(`${deployment.url}/vehicles/${VIN}?token=${randomUUID()}`);
    await fetch(`${deployment.url}/graphql`, { method: 'POST', body: '{' });
    await fetch(`${deployment.url}/metrics`, { headers: { forwarded: 'for=192.0.2.1' } });

    for (const [name, labels] of [
      ['fleetflag_sockets', 'caller="vehicle"'],
      ['fleetflag_change_delivery_seconds_count', ''],
      ['fleetflag_change_read_seconds_count', ''],
      ['fleetflag_frames_sent_total', ''],
      ['fleetflag_subgraph_streams', 'subgraph="flags"'],
      ['fleetflag_subgraph_sockets', 'subgraph="flags"'],
      ...['flags', 'vehicles', 'experiments', 'audit'].map(
        (subgraph) => ['fleetflag_subgraph_operations_total', `subgraph="${subgraph}"`] as const,
      ),
      ['fleetflag_operations_total', 'code="UNAUTHENTICATED"'],
      ['fleetflag_postgres_statement_duration_seconds_count', 'kind="lock"'],
      ['fleetflag_postgres_connections', 'state="idle"'],
      ['fleetflag_clickhouse_request_duration_seconds_count', 'request="insert"'],
      ['fleetflag_queue_capacity', 'queue="heartbeats"'],
      ['fleetflag_queue_capacity', 'queue="measurements"'],
      ...(DISTRIBUTED ? ([['fleetflag_redis_command_duration_seconds_count', '']] as const) : []),
      ['fleetflag_workers', ''],
    ] as const)
      await eventually(async () => (await sumOf(name, labels)) > 0, `${name}{${labels}} counts`);
    expect(await sumOf('fleetflag_workers')).toBe(2);
    expect(await sumOf('fleetflag_unforeseen_failures_total')).toBe(0);
  });

  test('have no label of which there could be any number, and few series', async () => {
    const text = (await scrapes()).join('\n');
    const series = text.split('\n').filter((line) => /^[a-z]/.test(line));
    expect(series.length).toBeGreaterThan(300);
    // Histograms have a dozen series each.
    expect(series.length).toBeLessThan(DISTRIBUTED ? 5_000 : 2_000);
    const values = series.flatMap((line) =>
      Array.from(line.matchAll(/(\w+)="([^"]*)"/g), ([, label, value]) => ({ label, value: value ?? '' })),
    );
    const unbounded: readonly RegExp[] = [
      /[A-HJ-NPR-Z0-9]{17}/,
      /@/,
      /[0-9a-f]{8}-[0-9a-f]{4}-/i,
      /[0-9a-f]{16}/i,
      /\d{5}/,
      /\d+\.\d+\.\d+\.\d+/,
      /seen|energy_kwh|wrong/,
      /[?&=\s]/,
    ];
    const bounds = new Set(['le', 'quantile', 'version', 'major', 'minor', 'patch']);
    expect(
      values.filter(({ label = '', value }) => !bounds.has(label) && unbounded.some((form) => form.test(value))),
    ).toEqual([]);
    expect(text).not.toContain(VIN);
    expect(Math.max(...values.map(({ value }) => value.length))).toBeLessThan(40);
  });

  test.each(METRIC_FILES)('that %s names are all in the scrapes', async (path) => {
    const names = namesIn((await scrapes()).join('\n'));
    const named = metricsNamedIn(await readFile(path, 'utf8'));
    expect(named.length).toBeGreaterThan(5);
    expect(named.filter((name) => !names.has(name))).toEqual([]);
  });
});

/** A trace that a client has begun: its id, and the header that continues it. */
function clientTrace(): { traceId: string; spanId: string; traceparent: string } {
  const [traceId, spanId] = [randomBytes(16).toString('hex'), randomBytes(8).toString('hex')];
  return { traceId, spanId, traceparent: `00-${traceId}-${spanId}-01` };
}

/** Gives the span of a trace to which `spanId` leads, from the statement up to the client. */
function ancestors(spans: readonly ReceivedSpan[], from: ReceivedSpan): string[] {
  const names: string[] = [];
  for (let span: ReceivedSpan | undefined = from; span !== undefined;) {
    names.push(`${span.service}: ${span.name}`);
    const above: string | undefined = span.parentSpanId;
    const next: ReceivedSpan | undefined = spans.find(({ spanId }) => spanId === above);
    if (next === undefined) names.push(above ?? 'none');
    span = next;
  }
  return names;
}

const OWNER = DISTRIBUTED ? 'fleetflag-flags' : 'fleetflag-control-plane';

describe('traces', () => {
  const expected = (entry: string, spanId: string) => [
    `${OWNER}: INSERT flags`,
    `${OWNER}: flags mutation`,
    'fleetflag-gateway: ask flags',
    `fleetflag-gateway: ${entry}`,
    spanId,
  ];

  async function leadsUp(traceId: string): Promise<string[]> {
    const spans = await eventually(() => {
      const received = receiver.trace(traceId);
      const has = (name: RegExp) => received.some((span) => name.test(span.name));
      return has(/^INSERT flags$/) && has(/^flags mutation$/) && has(/^ask flags$/) && has(/^(HTTP|websocket) /)
        ? received
        : null;
    }, 'the trace is complete');
    return ancestors(
      spans,
      spans.find(({ name }) => name === 'INSERT flags')!,
    );
  }

  test('lead from a statement over the processes to the client of an HTTP request', async () => {
    const { traceId, spanId, traceparent } = clientTrace();
    const response = await fetch(`${deployment.url}/graphql`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: `Bearer ${admin.token}`, traceparent },
      body: JSON.stringify({ query: CREATE, variables: flag('traced') }),
    });
    expect(await response.json()).toEqual({ data: { createFlag: { applied: true } } });
    expect(await leadsUp(traceId)).toEqual(expected('HTTP POST', spanId));
  });

  test('lead from a statement over the processes to the client of a websocket', async () => {
    const { traceId, spanId, traceparent } = clientTrace();
    const client = admin.socket();
    try {
      const answer = new Listener(client, { query: CREATE, extensions: { traceparent } }, flag('traced_ws'));
      await eventually(() => answer.events.length === 1, 'the answer');
      expect(answer.events[0]).toEqual({ data: { createFlag: { applied: true } } });
    } finally {
      await client.dispose();
    }
    expect(await leadsUp(traceId)).toEqual(expected('websocket mutation', spanId));
  });

  test('hold nothing of what was asked, and are sent with the header fields that were set', () => {
    expect(receiver.headers['x-tenant']).toBe('fleet one');
    expect(receiver.received.length).toBeGreaterThan(1_000);
    for (const text of [VIN, SECRET_TEXT, ADMIN.email, ADMIN.password, admin.token ?? '', 'createFlag', 'traced_ws'])
      expect(receiver.received).not.toContain(text);
  });

  test('begin nowhere by themselves when the ratio is 0', async () => {
    await admin.ok('{ flags { totalCount } }');
    const known = new Set(receiver.spans.map(({ traceId }) => traceId));
    expect(known.size).toBe(2);
  });
});

describe('the id of a request', () => {
  const lines = (requestId: string) =>
    deployment.output
      .split('\n')
      .filter((line) => line.startsWith('{') && line.includes(requestId))
      .map((line) => JSON.parse(line) as { requestId: string; subgraph?: string; msg: string });

  test('is in the answer and in the logs of both processes', async () => {
    const requestId = randomUUID();
    const response = await fetch(`${deployment.url}/graphql`, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        authorization: `Bearer ${admin.token}`,
        'x-request-id': requestId,
      },
      body: JSON.stringify({ query: CREATE, variables: flag('numbered') }),
    });
    expect(response.headers.get('x-request-id')).toBe(requestId);
    const found = await eventually(() => (lines(requestId).length >= 2 ? lines(requestId) : null), 'both lines');
    expect(found.map(({ requestId: id, subgraph, msg }) => [id, subgraph, msg]).sort()).toEqual(
      [
        [requestId, 'flags', 'Answered an operation'],
        [requestId, undefined, 'Answered an operation'],
      ].sort(),
    );
  });

  test('is made where the given one is not well-formed, and stands in the log instead of it', async () => {
    const given = 'not-a-uuid","level":60,"x":"';
    const response = await fetch(`${deployment.url}/graphql`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: `Bearer ${admin.token}`, 'x-request-id': given },
      body: JSON.stringify({ query: '{ vehicles { totalCount } }' }),
    });
    const requestId = response.headers.get('x-request-id') ?? '';
    expect(requestId).toMatch(/^[0-9a-f]{8}-/);
    await eventually(() => lines(requestId).length >= 2, 'both lines');
    expect(deployment.output).not.toContain('not-a-uuid');
  });

  test('comes with an operation of a websocket, too', async () => {
    const requestId = randomUUID();
    const client = admin.socket();
    try {
      const answer = new Listener(client, {
        query: '{ vehicles { totalCount } }',
        extensions: { 'x-request-id': requestId },
      });
      await eventually(() => answer.events.length === 1, 'the answer');
    } finally {
      await client.dispose();
    }
    await eventually(() => lines(requestId).length >= 2, 'both lines');
  });
});

test('a process that was asked to stop is not ready at once, answers until the balancer has seen it, and ends in order', async () => {
  const ready = async () => (await fetch(`${deployment.url}/health/ready`)).status;
  expect(await ready()).toBe(200);
  const gateway = deployment.processes.at(-1)!;
  const ended = gateway.stop();
  await eventually(async () => (await ready()) === 503, 'it is not ready');
  // The process answers the requests that come nevertheless.
  expect(await admin.ok('{ vehicles { totalCount } }')).toEqual({ vehicles: { totalCount: 1 } });
  expect(await ended).toBe(0);
  await expect(ready()).rejects.toThrow();
});
