import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { ConnectedVehicles } from './connected-vehicles.ts';
import type { PresenceReport } from '../../core/wire/subgraph/presence-report.ts';
import { PresenceReporter, REPORTER_TIMES } from './presence-reporter.ts';

const vin = (n: number) => `KMH${String(n).padStart(14, '0')}`;

describe('the vehicles that are connected', () => {
  test('are those with a socket, however many each has', () => {
    const vehicles = new ConnectedVehicles();
    vehicles.opened(vin(1));
    vehicles.opened(vin(1));
    expect(vehicles.takeNews(10)).toEqual({ opened: [vin(1)], closed: [] });
    vehicles.closed(vin(1));
    vehicles.opened(vin(1));
    vehicles.closed(vin(1));
    expect(vehicles.hasNews).toBe(false);
    vehicles.closed(vin(1));
    expect(vehicles.takeNews(10)).toEqual({ opened: [], closed: [vin(1)] });
    vehicles.closed(vin(1));
    expect(vehicles.hasNews).toBe(false);
  });

  test('are reported in their present state, and again in their then present state after a lost report', () => {
    const vehicles = new ConnectedVehicles();
    for (const n of [1, 2, 3]) vehicles.opened(vin(n));
    vehicles.closed(vin(2));
    const lost = vehicles.takeNews(10);
    expect(lost).toEqual({ opened: [vin(1), vin(3)], closed: [vin(2)] });
    vehicles.closed(vin(1));
    vehicles.opened(vin(2));
    vehicles.giveBack(lost);
    expect(vehicles.takeNews(10)).toEqual({ opened: [vin(2), vin(3)], closed: [vin(1)] });
    expect(vehicles.hasNews).toBe(false);
    vehicles.reportAll();
    expect(vehicles.takeNews(10)).toEqual({ opened: [vin(3), vin(2)], closed: [] });
  });

  test('are reported a limited number at a time, the longest waiting first', () => {
    const vehicles = new ConnectedVehicles();
    for (let n = 0; n < 5; n++) vehicles.opened(vin(n));
    expect(
      [vehicles.takeNews(2), vehicles.takeNews(2), vehicles.takeNews(2), vehicles.takeNews(2)].map(
        ({ opened }) => opened,
      ),
    ).toEqual([[vin(0), vin(1)], [vin(2), vin(3)], [vin(4)], []]);
  });
});

/** The vehicles subgraph, as far as gateways know it. */
class ControlPlane {
  readonly reports: PresenceReport[] = [];
  down = false;
  /** Called with each report that arrives, before the answer. */
  arriving: () => Promise<void> = () => Promise.resolve();
  readonly leases = new Map<string, { sequence: number; vins: Set<string> }>();

  readonly send = async (report: PresenceReport): Promise<boolean> => {
    this.reports.push(report);
    if (this.down) throw new Error('down');
    const { gateway, sequence, since, opened, closed, leaving } = report;
    let lease = this.leases.get(gateway);
    if (lease === undefined && since === 0) this.leases.set(gateway, (lease = { sequence: 0, vins: new Set() }));
    if (lease === undefined || lease.sequence < since || lease.sequence >= sequence) return false;
    lease.sequence = sequence;
    for (const one of opened) lease.vins.add(one);
    for (const one of closed) lease.vins.delete(one);
    if (leaving) this.leases.delete(gateway);
    await this.arriving();
    return true;
  };

  get connected(): string[] {
    return [...this.leases.values()].flatMap(({ vins }) => [...vins]).sort();
  }
}

describe('a gateway', () => {
  let plane: ControlPlane;
  let reporter: PresenceReporter;
  let logged: string[];
  const pass = (milliseconds: number) => jest.advanceTimersByTimeAsync(milliseconds);
  const start = (times = {}) => {
    const log = (level: string) => (_fields: object, message: string) => void logged.push(`${level}: ${message}`);
    reporter = new PresenceReporter(
      plane.send,
      { info: log('info'), warn: log('warn'), error: log('error') },
      { ...REPORTER_TIMES, ...times },
    );
    reporter.start();
  };

  beforeEach(() => {
    jest.useFakeTimers();
    plane = new ControlPlane();
    logged = [];
  });

  afterEach(async () => {
    const closing = reporter.close();
    await pass(REPORTER_TIMES.lastReportMs + 1);
    await closing;
    jest.useRealTimers();
  });

  test('without vehicles sends nothing; with 10,000 at once it sends two reports of them, and then one that it lives', async () => {
    start();
    await pass(60_000);
    expect(plane.reports).toEqual([]);
    for (let n = 0; n < 10_000; n++) reporter.vehicles.opened(vin(n));
    await pass(1_100);
    expect(plane.connected).toHaveLength(10_000);
    await pass(REPORTER_TIMES.renewalMs + 2_000);
    expect(plane.reports.map(({ sequence, since, opened }) => [sequence, since, opened.length])).toEqual([
      [1, 0, 5_000],
      [2, 1, 5_000],
      [3, 2, 0],
    ]);
  });

  test('reports changes within a second, one report after the other', async () => {
    start();
    let answer: () => void = () => undefined;
    plane.arriving = () => new Promise((resolve) => (answer = resolve));
    reporter.vehicles.opened(vin(1));
    await pass(1_000);
    reporter.vehicles.opened(vin(2));
    reporter.vehicles.closed(vin(1));
    await pass(5_000);
    expect(plane.reports).toHaveLength(1);
    plane.arriving = () => Promise.resolve();
    answer();
    await pass(1_000);
    expect(plane.reports).toHaveLength(2);
    expect(plane.connected).toEqual([vin(2)]);
  });

  test('reports the true state in the end, whichever of its reports are lost', async () => {
    start();
    reporter.vehicles.opened(vin(1));
    await pass(1_000);
    // Nobody there.
    plane.down = true;
    reporter.vehicles.opened(vin(2));
    reporter.vehicles.closed(vin(1));
    await pass(60_000);
    expect(plane.connected).toEqual([vin(1)]);
    plane.down = false;
    await pass(REPORTER_TIMES.renewalMs / 2);
    expect(plane.connected).toEqual([vin(2)]);
    // Stored, and the answer lost.
    plane.arriving = () => Promise.reject(new Error('cut off'));
    reporter.vehicles.opened(vin(3));
    await pass(1_000);
    reporter.vehicles.closed(vin(3));
    plane.arriving = () => Promise.resolve();
    await pass(3_000);
    expect(plane.connected).toEqual([vin(2)]);
    expect(logged.filter((line) => line.startsWith('warn'))).toHaveLength(2);
    expect(logged.filter((line) => line.startsWith('info'))).toHaveLength(2);
  });

  test('that is no longer known reports everything again with another id, in as many reports as needed', async () => {
    start({ batch: 100 });
    for (let n = 0; n < 250; n++) reporter.vehicles.opened(vin(n));
    await pass(1_100);
    expect(plane.connected).toHaveLength(250);
    const [before] = plane.leases.keys();
    plane.leases.clear();
    reporter.vehicles.closed(vin(0));
    await pass(REPORTER_TIMES.renewalMs + 2_000);
    expect(plane.connected).toHaveLength(249);
    expect(plane.leases.size).toBe(1);
    expect(plane.leases.has(before!)).toBe(false);
  });

  test('whose stored state is older than its last report reports everything again', async () => {
    start();
    reporter.vehicles.opened(vin(1));
    await pass(1_000);
    reporter.vehicles.opened(vin(2));
    await pass(1_000);
    // Restored from a backup.
    for (const lease of plane.leases.values()) Object.assign(lease, { sequence: 1, vins: new Set([vin(1)]) });
    await pass(REPORTER_TIMES.renewalMs + 3_000);
    expect(new Set(plane.connected)).toEqual(new Set([vin(1), vin(2)]));
  });

  test('that stops reports that, and does not wait for ever', async () => {
    start();
    reporter.vehicles.opened(vin(1));
    await pass(1_000);
    await reporter.close();
    expect(plane.leases.size).toBe(0);

    start();
    reporter.vehicles.opened(vin(1));
    await pass(1_000);
    plane.arriving = () => new Promise(() => undefined);
    let closed = false;
    void reporter.close().then(() => (closed = true));
    await pass(REPORTER_TIMES.lastReportMs + 1);
    expect(closed).toBe(true);
  });
});
