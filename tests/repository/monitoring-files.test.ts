import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync, copyFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { parse } from 'yaml';
import { Metrics } from '../../core/monitoring/metrics.ts';
import { testUnless } from '../../core/testing/unless.ts';
import { GatewayMetrics, watchWorkers } from '../../gateway/monitoring/gateway-metrics.ts';
import { StoreMetrics } from '../../subgraphs/shared/monitoring/store-metrics.ts';
import { SubgraphMetrics } from '../../subgraphs/shared/monitoring/subgraph-metrics.ts';
import { METRIC_FILES, metricsNamedIn, namesIn } from '../testing/named-metrics.ts';

const read = (path: string) => readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8');

/**
 * The names of all metrics that processes of this code have; e2e/monitoring.long.test.ts compares them with scrapes.
 */
let known: Set<string>;
beforeAll(async () => {
  const metrics = new Metrics();
  const gateway = new GatewayMetrics(metrics);
  gateway.watch({ counters: () => ({}) as never, identities: () => [] });
  gateway.watchAnswers({ bytes: 0, counts: { held: 0, computed: 0, unchanged: 0, passed: 0 } });
  watchWorkers(metrics, () => ({ running: 1, replaced: 0 }));
  metrics.watchProcess(
    () => ({}),
    () => 0,
  );
  new StoreMetrics(metrics);
  new SubgraphMetrics(metrics).watchOutbox(async () => ({ waiting: 0, overdueSeconds: 0 }));
  known = namesIn((await metrics.text()).body);
});

describe('every metric exists that is named in', () => {
  test.each(METRIC_FILES)('%s', (path) => {
    const named = metricsNamedIn(read(path));
    expect(named.length).toBeGreaterThan(5);
    expect(named.filter((name) => !known.has(name))).toEqual([]);
  });
});

test('the page of monitoring names every metric of FleetFlag', () => {
  const page = read('docs/operations/monitoring.md');
  const own = [...known].filter((name) => name.startsWith('fleetflag_')).map((name) => name.slice('fleetflag_'.length));
  expect(own.length).toBeGreaterThan(40);
  expect(own.filter((name) => !new RegExp(`\`${name}[\`{]`).test(page))).toEqual([]);
});

test('the dashboard has no two panels of one id or in one place, and each explains itself', () => {
  const { panels } = JSON.parse(read('docker/monitoring/dashboard.json')) as {
    panels: { id: number; type: string; description?: string; gridPos: { x: number; y: number; w: number } }[];
  };
  expect(new Set(panels.map(({ id }) => id)).size).toBe(panels.length);
  expect(new Set(panels.map(({ gridPos: { x, y } }) => `${x},${y}`)).size).toBe(panels.length);
  for (const { type, description = '', gridPos } of panels) {
    expect(gridPos.x + gridPos.w).toBeLessThanOrEqual(24);
    if (type !== 'row') expect(description).toMatch(/\.$/);
  }
});

describe('the files of Prometheus', () => {
  interface Rule {
    readonly alert: string;
    readonly labels: { readonly severity: string };
    readonly annotations: { readonly summary: string; readonly action: string };
  }
  const { groups } = parse(read('docker/monitoring/alerts.yaml')) as { groups: { rules: Rule[] }[] };
  const rules = groups.flatMap((group) => group.rules);

  test('say for each alert how urgent it is, what it is about and what to do', () => {
    expect(rules.length).toBeGreaterThan(10);
    for (const { alert, labels, annotations } of rules) {
      expect(alert).toMatch(/^FleetFlag[A-Z]/);
      expect(['page', 'ticket']).toContain(labels.severity);
      expect(annotations.summary.length).toBeGreaterThan(20);
      expect(annotations.action.length).toBeGreaterThan(10);
    }
  });

  test('scrape every role of the deployment', () => {
    const { scrape_configs: scrapes } = parse(read('docker/monitoring/prometheus.yaml')) as {
      scrape_configs: { static_configs: { targets: string[]; labels: { role: string } }[] }[];
    };
    const targets = scrapes.flatMap(({ static_configs: all }) =>
      all.flatMap(({ targets: each, labels }) => each.map((target) => `${target} ${labels.role}`)),
    );
    const { services } = parse(read('docker/compose.yaml'), { merge: true }) as {
      services: Record<string, { image: string; command?: string[] }>;
    };
    const served = Object.entries(services).filter(
      ([name, { image }]) => image.startsWith('fleetflag') && name !== 'migrate',
    );
    expect(targets.sort()).toEqual(served.map(([name, { command }]) => `${name}:4000 ${command?.[0]}`).sort());
  });

  const promtool = spawnSync('promtool', ['--version']);
  // The tool is Debian's package prometheus, which the gate installs.
  const testWithTool = testUnless(promtool.error === undefined ? null : 'there is no promtool (Debian: prometheus)');
  const folder = mkdtempSync(join(tmpdir(), 'fleetflag-prometheus-'));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  const run = (...args: string[]) => {
    const { status, stdout, stderr } = spawnSync('promtool', args, { encoding: 'utf8' });
    return { status, output: stdout + stderr };
  };
  const path = (name: string) => new URL(`../../docker/monitoring/${name}`, import.meta.url).pathname;

  testWithTool('are right as promtool reads them', () => {
    expect(run('check', 'rules', path('alerts.yaml'))).toMatchObject({ status: 0 });
    // The path of the token is that of its container.
    const token = join(folder, 'token');
    writeFileSync(token, 'a-token');
    writeFileSync(
      join(folder, 'prometheus.yaml'),
      read('docker/monitoring/prometheus.yaml').replace('/run/secrets/metrics-token', token),
    );
    copyFileSync(path('alerts.yaml'), join(folder, 'alerts.yaml'));
    expect(run('check', 'config', join(folder, 'prometheus.yaml'))).toMatchObject({ status: 0 });
  });

  testWithTool('alarm when they should, and only then', () => {
    expect(run('test', 'rules', path('alerts.test.yaml'))).toMatchObject({ status: 0 });
  });
});
