import { spawnSync } from 'node:child_process';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { eventually } from '../../core/testing/eventually.ts';
import { Metrics } from '../../core/monitoring/metrics.ts';
import { GatewayMetrics, watchWorkers } from './gateway-metrics.ts';
import { ScriptedGateway, VIN } from '../testing/scripted-gateway.ts';
import { testUnless } from '../../core/testing/unless.ts';

let gateway: ScriptedGateway;
beforeAll(async () => {
  gateway = await ScriptedGateway.start();
  gateway.answer = async ({ query }) =>
    query.includes('nothing')
      ? { errors: [{ message: 'no' }] }
      : { data: { flag: { key: 'eco', id: 'f1', __typename: 'Flag' } } };
});
afterAll(() => gateway.close());

/** Every sample by its name and labels, as Prometheus writes them. */
async function samples(): Promise<Map<string, number>> {
  const { status, headers, text } = await gateway.send('/metrics');
  expect(status).toBe(200);
  expect(headers.get('content-type')).toBe('text/plain; version=0.0.4; charset=utf-8');
  expect(headers.get('cache-control')).toBe('no-store');
  const lines = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  return new Map(
    lines.map((line) => [line.slice(0, line.lastIndexOf(' ')), Number(line.slice(line.lastIndexOf(' ') + 1))]),
  );
}

const difference = (before: Map<string, number>, after: Map<string, number>) => (name: string) =>
  (after.get(name) ?? 0) - (before.get(name) ?? 0);

test('requests and operations are counted with how they ended, and by the route, not by what was asked for', async () => {
  const before = await samples();
  for (const query of ['{ flag(key: "eco") { key } }', '{ flag(key: "eco") { name } }']) await gateway.ask(query);
  await gateway.ask('mutation { enableFlag(key: "eco") { applied } }');
  await gateway.ask('{ nothing }');
  await gateway.ask('{ flag(');
  await gateway.post({ query: '{ flag(key: "eco") { key } }' });
  for (const path of ['/a', '/b', '/%']) await gateway.send(path);
  const after = await samples();
  const grown = difference(before, after);

  expect(grown('fleetflag_operations_total{type="query",code="OK"}')).toBe(1);
  // No subgraph gave the name.
  expect(grown('fleetflag_operations_total{type="query",code="INTERNAL_SERVER_ERROR"}')).toBe(1);
  expect(grown('fleetflag_operations_total{type="query",code="UNAUTHENTICATED"}')).toBe(1);
  expect(grown('fleetflag_operations_total{type="invalid",code="BAD_USER_INPUT"}')).toBe(2);
  expect(grown('fleetflag_operation_duration_seconds_count{type="query"}')).toBe(3);
  expect(
    [...after]
      .filter(([name]) => name.startsWith('fleetflag_operations_total{type="mutation"'))
      .reduce((sum, [, value]) => sum + value, 0),
  ).toBe(1);
  expect(grown('fleetflag_http_requests_total{route="none",status="404"}')).toBe(2);
  expect(
    [...after]
      .filter(([name]) => name.startsWith('fleetflag_http_requests_total{route="/graphql"'))
      .reduce((sum, [, value]) => sum + value, 0),
  ).toBe(6);
  expect(grown('fleetflag_http_request_duration_seconds_count{route="/graphql"}')).toBe(6);
  expect([...after.keys()].some((name) => /"\/[ab]"/.test(name))).toBe(false);
});

test('sockets are counted by kind of caller, and what is sent to them is counted', async () => {
  const before = await samples();
  await gateway.socket().opened();
  const user = await gateway.client();
  const token = await gateway.vehicleTokens.issue(VIN, 'staging', new Date(Date.now() + 60_000));
  const vehicle = await gateway.socket().acknowledged({ authorization: `Bearer ${token}` });
  for (const client of [user, vehicle])
    client.subscribe('changes', 'subscription { flagChanges(environment: STAGING) { revision } }');
  // What a user may see and what a vehicle may differ: each has a stream of its own.
  await eventually(() => gateway.events.open === 2, 'both streams');
  gateway.events.emit({ data: { flagChanges: { revision: 7 } } });
  for (const client of [user, vehicle]) await client.result('changes');

  const after = await samples();
  const grown = difference(before, after);
  for (const caller of ['user', 'vehicle', 'unknown']) expect(grown(`fleetflag_sockets{caller="${caller}"}`)).toBe(1);
  expect(after.get('fleetflag_sockets{caller="apiKey"}')).toBe(0);
  for (const name of [
    'socket_operations',
    'distinct_subscriptions',
    'upstreams',
    'upstream_events_total',
    'event_executions_total',
    'frames_sent_total',
  ])
    expect([name, grown(`fleetflag_${name}`)]).toEqual([name, 2]);
  expect(grown('fleetflag_frame_bytes_sent_total')).toBeGreaterThan(50);
  for (const reason of ['slow', 'silent', 'rate'])
    expect(after.get(`fleetflag_sockets_closed_total{reason="${reason}"}`)).toBe(0);
});

test('the time from a change to the last socket of its subscription is measured, where the event says when it was made', async () => {
  const user = await gateway.client();
  user.subscribe('lag', 'subscription { flagChanges(environment: PRODUCTION) { revision } }');
  await eventually(async () => (await samples()).get('fleetflag_upstreams') !== 0, 'the stream');
  const before = await samples();
  gateway.events.emit({ data: { flagChanges: { revision: 8 } } });
  gateway.events.emit({ data: { flagChanges: { revision: 9 } }, extensions: { changedAtMs: Date.now() - 2_000 } });
  for (let n = 0; n < 2; n++) await user.result('lag');
  // Each distinct subscription that is open gets both.
  const distinct = before.get('fleetflag_distinct_subscriptions') ?? 0;
  const after = await eventually(async () => {
    const now = await samples();
    return difference(before, now)('fleetflag_change_delivery_seconds_count') >= distinct ? now : null;
  }, 'the deliveries are counted');
  const grown = difference(before, after);
  expect(grown('fleetflag_change_delivery_seconds_count')).toBe(distinct);
  expect(grown('fleetflag_change_delivery_seconds_bucket{le="1"}')).toBe(0);
  expect(grown('fleetflag_change_delivery_seconds_bucket{le="30"}')).toBe(distinct);
});

test('the process has metrics as well', async () => {
  const names = [...(await samples()).keys()];
  for (const name of [
    'process_resident_memory_bytes',
    'process_cpu_seconds_total',
    'nodejs_eventloop_lag_p99_seconds',
    'nodejs_heap_size_used_bytes',
  ])
    expect(names).toContain(name);
});

test('several gateways on one port give their sums, whichever of them is scraped', async () => {
  const [asked, other] = [new Metrics(), new Metrics()];
  const [ofAsked, ofOther] = [new GatewayMetrics(asked), new GatewayMetrics(other)];
  for (const metrics of [ofAsked, ofOther, ofOther]) metrics.answered('/graphql', 200, 0.02);
  ofOther.ran('query', 'OK', 0.5);
  watchWorkers(other, () => ({ running: 2, replaced: 1 }));
  // The figures of another process come as JSON.
  asked.sumWith(async () => [JSON.parse(JSON.stringify(await other.figures())) as unknown, null]);
  const { type, body } = await asked.text();
  expect(type).toBe('text/plain; version=0.0.4; charset=utf-8');
  for (const line of [
    'fleetflag_http_requests_total{route="/graphql",status="200"} 3',
    'fleetflag_http_request_duration_seconds_bucket{le="0.01",route="/graphql"} 0',
    'fleetflag_http_request_duration_seconds_bucket{le="0.025",route="/graphql"} 3',
    'fleetflag_http_request_duration_seconds_count{route="/graphql"} 3',
    'fleetflag_operations_total{type="query",code="OK"} 1',
    'fleetflag_workers 2',
    'fleetflag_workers_replaced_total 1',
    '# TYPE fleetflag_workers_replaced_total counter',
  ])
    expect(body.split('\n')).toContain(line);
  expect(body).toMatch(/^process_resident_memory_bytes [1-9]/m);
});

describe('the names of the metrics', () => {
  /** Each metric with its type and its help. */
  async function metrics(): Promise<{ name: string; type: string; help: string }[]> {
    const { text } = await gateway.send('/metrics');
    return Array.from(
      text.matchAll(/^# HELP (\S+) (.*)\n# TYPE \S+ (\w+)$/gm),
      ([, name = '', help = '', type = '']) => ({ name, help, type }),
    );
  }

  /** https://prometheus.io/docs/practices/naming/, as far as a name shows it. */
  const RULES: [string, (metric: { name: string; type: string; help: string }) => boolean][] = [
    [
      'are of small letters, digits and underscores, after the program that they are of',
      ({ name }) => /^(fleetflag|process|nodejs)(_[a-z0-9]+)+$/.test(name),
    ],
    [
      'end in _total where they count, and nowhere else',
      ({ name, type }) => name.endsWith('_total') === (type === 'counter'),
    ],
    [
      'are in seconds and bytes, not in parts or multiples',
      ({ name }) =>
        !/_(ms|milliseconds|microseconds|nanoseconds|minutes|hours|kilobytes|megabytes|kb|mb|kib|mib|percent)(_|$)/.test(
          name,
        ),
    ],
    ['have no type in them', ({ name }) => !/_(counter|gauge|histogram|summary)(_|$)/.test(name)],
    ["do not end as a histogram's parts do", ({ name }) => !/_(count|sum|bucket)$/.test(name)],
    ['come with a sentence of help', ({ help }) => help.trim().length > 10],
  ];
  test.each(RULES)('%s', async (_rule, keeps) => {
    const found = await metrics();
    expect(found.length).toBeGreaterThan(30);
    expect(found.filter((metric) => !keeps(metric)).map(({ name, type }) => `${name} (${type})`)).toEqual([]);
  });

  const promtool = spawnSync('promtool', ['--version']);
  // The tool is Debian's package prometheus, which the gate installs; the rules above hold without it.
  testUnless(promtool.error === undefined ? null : 'there is no promtool (Debian: prometheus)')(
    'are what promtool wants of them',
    async () => {
      const { text } = await gateway.send('/metrics');
      const checked = spawnSync('promtool', ['check', 'metrics'], { input: text, encoding: 'utf8' });
      expect([checked.status, checked.stdout + checked.stderr]).toEqual([0, '']);
    },
  );
});
