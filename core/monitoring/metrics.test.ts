import { expect, test } from '@jest/globals';
import { Metrics } from './metrics.ts';

const linesOf = async (metrics: Metrics) => (await metrics.text()).body.split('\n');

test('counters, histograms, gauges and kept totals are given in Prometheus’ text form', async () => {
  const metrics = new Metrics();
  metrics.counter('asked_total', 'Questions that were asked.', ['kind']).inc({ kind: 'plain' }, 2);
  metrics.histogram('answer_seconds', 'The time of an answer.', [], [0.1, 1]).observe(0.5);
  metrics.gauge('open', 'Things that are open.', ['state'], (it) => it.set({ state: 'busy' }, 3));
  metrics.histogram('request_seconds', 'The time of a request.', []).observe(29);
  let kept = 4;
  metrics.total('kept_total', 'A count that is kept elsewhere.', [], (it) => it.inc(kept));
  metrics.watchProcess(
    () => ({ unhandledRejection: 1 }),
    () => 7,
  );
  await metrics.text();
  kept = 5;
  const lines = await linesOf(metrics);
  for (const line of [
    'fleetflag_asked_total{kind="plain"} 2',
    'fleetflag_answer_seconds_bucket{le="0.1"} 0',
    'fleetflag_answer_seconds_bucket{le="1"} 1',
    'fleetflag_request_seconds_bucket{le="30"} 1',
    'fleetflag_open{state="busy"} 3',
    'fleetflag_kept_total 5',
    'fleetflag_log_lines_lost_total 7',
    'fleetflag_unforeseen_failures_total{kind="unhandledRejection"} 1',
  ])
    expect(lines).toContain(line);
});

test('a gauge that cannot be read has no sample, and the others are given', async () => {
  const metrics = new Metrics();
  let isAway = false;
  const read = async () => {
    if (isAway) throw new Error('The store is away');
    return 3;
  };
  metrics.gauge('waiting', 'Things that wait.', [], async (it) => it.set(await read()));
  metrics.gauge('waiting_by_kind', 'Things that wait.', ['kind'], async (it) => it.set({ kind: 'a' }, await read()));
  metrics.gauge('open', 'Things that are open.', [], (it) => it.set(1));
  expect(await linesOf(metrics)).toEqual(
    expect.arrayContaining(['fleetflag_waiting 3', 'fleetflag_waiting_by_kind{kind="a"} 3', 'fleetflag_open 1']),
  );
  isAway = true;
  const lines = await linesOf(metrics);
  expect(lines).toContain('fleetflag_open 1');
  expect(lines.filter((line) => /^fleetflag_waiting/.test(line))).toEqual([]);
});

test('one look before a reading serves all metrics of it', async () => {
  const metrics = new Metrics();
  let looks = 0;
  metrics.beforeReading(() => (looks += 1));
  await metrics.text();
  await metrics.figures();
  expect(looks).toBe(2);
});

test('the figures of several processes are summed up, and what is no figures is left out', async () => {
  const [asked, other] = [new Metrics(), new Metrics()];
  for (const metrics of [asked, other]) metrics.counter('asked_total', 'Questions that were asked.', []).inc();
  asked.sumWith(async () => [JSON.parse(JSON.stringify(await other.figures())) as unknown, null]);
  expect(await linesOf(asked)).toContain('fleetflag_asked_total 2');
});
