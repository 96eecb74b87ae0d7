import { readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { GraphQLError } from 'graphql';
import { eventually } from '../../core/testing/eventually.ts';
import { FleetFlagError } from '../../core/errors.ts';
import { LocalServer } from '../api/local-server.ts';
import { FleetFlagProvider } from '../openfeature/fleet-flag-provider.ts';
import type { FleetFlagAgent } from '../assembly/fleet-flag-agent.ts';
import { TestControlPlane } from '../testing/control-plane.ts';
import type { ReportedFault } from '../testing/wire-messages.ts';
import { ON } from '../testing/rules.ts';
import { TestVehicle } from '../testing/test-vehicle.ts';

const SOON = { faultsSpreadMs: 20 };
const MESSAGE = 'The camera gives no picture.';

let plane: TestControlPlane;
let vehicle: TestVehicle;

beforeEach(async () => {
  plane = await TestControlPlane.start();
  vehicle = await TestVehicle.create(plane);
  await plane.put('eco', { rules: [ON] });
});

afterEach(async () => {
  await vehicle.dispose();
  await plane.stop();
});

async function start(options: Parameters<TestVehicle['start']>[0] = {}): Promise<FleetFlagAgent> {
  const agent = await vehicle.start({ ...options, timings: { ...SOON, ...options.timings } });
  await agent.ready();
  return agent;
}

const refuse = (extensions: object) => () => {
  throw new GraphQLError('refused', { extensions: { ...extensions } });
};
const reported = (): ReportedFault[] => plane.faultReports.flat();
const shortOf = ({ flagKey, revision, kind }: { flagKey: string; revision: number; kind: string }) =>
  `${flagKey} ${revision} ${kind}`;
const isAtRest = (agent: FleetFlagAgent) => agent.status().faults.waiting === 0;

describe('a fault that a program reports', () => {
  test('reaches the control plane with its flag and revision, once, and is shown by the status', async () => {
    const agent = await start();
    agent.reportFault('eco', ` ${MESSAGE}\n`);
    agent.reportFault('eco', 'It still gives none.');
    await eventually(() => isAtRest(agent), 'it is reported');
    agent.reportFault('eco', 'And none.');
    expect(reported()).toEqual([
      { flagKey: 'eco', revision: 1, kind: 'REPORTED_BY_PROGRAM', message: MESSAGE, occurredAt: expect.any(String) },
    ]);
    expect(agent.status().faults).toEqual({
      waiting: 0,
      dropped: 0,
      latest: [
        {
          flagKey: 'eco',
          revision: 1,
          kind: 'reported_by_program',
          message: MESSAGE,
          at: reported()[0]!.occurredAt,
          count: 3,
          sent: true,
        },
      ],
    });
    await plane.put('eco', {});
    await eventually(() => agent.status().revision === 2, 'the change is there');
    agent.reportFault('eco', MESSAGE);
    await eventually(() => reported().length === 2 && isAtRest(agent), 'the fault of the next definition is reported');
    expect(reported().map(shortOf)).toEqual(['eco 1 REPORTED_BY_PROGRAM', 'eco 2 REPORTED_BY_PROGRAM']);
  });

  test('is kept while there is no connection, over restarts, and is then reported once', async () => {
    const agent = await start();
    await plane.stop();
    agent.reportFault('eco', MESSAGE);
    await agent.close();
    const next = await start();
    expect(next.status().faults).toMatchObject({ waiting: 1, latest: [{ message: MESSAGE, sent: false }] });
    await plane.listen();
    await eventually(() => isAtRest(next), 'it is reported');
    await next.close();
    const last = await start();
    last.reportFault('eco', MESSAGE);
    expect(last.status().faults).toMatchObject({ waiting: 0, latest: [{ count: 2, sent: true }] });
    expect(reported()).toHaveLength(1);
  });

  test('is on disk although the process does not end in the regular way', async () => {
    const agent = await start();
    await plane.stop();
    agent.reportFault('eco', MESSAGE);
    const file = `${vehicle.databaseFile}.faults`;
    await eventually(async () => (await readFile(file, 'utf8').catch(() => '')).includes(MESSAGE), 'it is on disk');
  });

  test('is refused with the argument that is wrong', async () => {
    const agent = await start();
    const refusalOf = (act: () => void) => {
      try {
        act();
      } catch (error) {
        if (error instanceof FleetFlagError) return [error.code, error.details.field];
        throw error;
      }
      return null;
    };
    expect(refusalOf(() => agent.reportFault('none', MESSAGE))).toEqual(['NOT_FOUND', 'flagKey']);
    expect(refusalOf(() => agent.reportFault('eco', ' \n'))).toEqual(['BAD_USER_INPUT', 'message']);
    expect(refusalOf(() => agent.reportFault('eco', 5 as never))).toEqual(['BAD_USER_INPUT', 'message']);
    await agent.close();
    expect(refusalOf(() => agent.reportFault('eco', MESSAGE))).toEqual(['SERVICE_UNAVAILABLE', undefined]);
    expect(reported()).toEqual([]);
  });

  test('comes over HTTP from programs in other languages', async () => {
    const agent = await start();
    const server = new LocalServer({ host: '127.0.0.1', port: 0, agent });
    const url = await server.listen();
    const post = async (body: unknown) => {
      const response = await fetch(`${url}/v1/fault`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(body),
      });
      const text = await response.text();
      return [response.status, text === '' ? null : (JSON.parse(text) as { field?: string }).field];
    };
    expect(await post({ flagKey: 'eco', message: MESSAGE, severity: 'fatal' })).toEqual([202, null]);
    expect(await post({ flagKey: 'none', message: MESSAGE })).toEqual([404, 'flagKey']);
    expect(await post({ flagKey: 5, message: MESSAGE })).toEqual([400, 'flagKey']);
    expect(await post({ flagKey: 'eco', message: null })).toEqual([400, 'message']);
    expect(await post({ flagKey: 'eco', message: MESSAGE, severity: 'mild' })).toEqual([400, 'severity']);
    expect(await post([])).toEqual([400, undefined]);
    await eventually(() => isAtRest(agent), 'it is reported');
    expect(reported().map(shortOf)).toEqual(['eco 1 REPORTED_BY_PROGRAM']);
    await server.close();
  });

  test('is on disk when HTTP has answered, because what fails may end the agent at once', async () => {
    const agent = await start();
    const server = new LocalServer({ host: '127.0.0.1', port: 0, agent });
    const url = await server.listen();
    await plane.stop();
    for (const message of ['The first.', 'The second.']) {
      await fetch(`${url}/v1/fault`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ flagKey: 'eco', message }),
      });
      const names = (await readdir(vehicle.folder)).filter((name) => name.includes('.faults'));
      const texts = await Promise.all(names.map((name) => readFile(join(vehicle.folder, name), 'utf8')));
      expect(texts.join()).toContain('The first.');
    }
    await server.close();
  });
});

describe('the agent itself', () => {
  test('reports definitions that it cannot evaluate and values outside their contract, once for each', async () => {
    const agent = await start();
    await plane.put('eco', { rules: [{ ...ON, type: 'of_a_newer_version' as never }] });
    await plane.put('speed', { type: 'number', defaultValue: 3, valueSchema: { maximum: 10 } });
    await plane.put('speed', { rules: [{ ...ON, value: 11 }] });
    await eventually(() => reported().length === 2, 'both are reported');
    expect(reported().map(shortOf)).toEqual(['eco 2 NOT_SERVABLE', 'speed 4 OUTSIDE_CONTRACT']);
    expect(reported().map(({ message }) => message)).toEqual([
      expect.stringContaining('does not understand its rules'),
      expect.stringContaining('outside its value contract'),
    ]);
    await eventually(() => isAtRest(agent), 'the answers are there');
    await agent.close();
    const next = await start();
    expect(isAtRest(next)).toBe(true);
  });

  test('reports an evaluation that ended in an error, however often a program asks', async () => {
    const agent = await start();
    for (let n = 0; n < 1_000; n++) expect(agent.stringValue('eco', 'own')).toBe('own');
    expect(agent.numberDetails('eco', 5)).toMatchObject({ value: 5, errorCode: 'TYPE_MISMATCH' });
    // A key that is no flag's belongs to no change.
    expect(agent.booleanValue('none', true)).toBe(true);
    await eventually(() => isAtRest(agent), 'it is reported');
    expect(reported().map(shortOf)).toEqual(['eco 1 EVALUATION_ERROR']);
  });

  test('reports an evaluation through OpenFeature that ended in an error, and counts each evaluation once', async () => {
    const agent = await start({ timings: { metricsIntervalMs: 50 } });
    const provider = new FleetFlagProvider(agent);
    expect(await provider.resolveStringEvaluation('eco', 'own', {})).toMatchObject({ errorCode: 'TYPE_MISMATCH' });
    expect(agent.stringValue('eco', 'own')).toBe('own');
    await eventually(() => isAtRest(agent), 'it is reported');
    expect(reported().map(shortOf)).toEqual(['eco 1 EVALUATION_ERROR']);
    const counts = () => plane.batches.flatMap(({ items }) => items.map(({ value }) => value));
    await eventually(() => counts().length > 0, 'the evaluations are counted');
    expect(counts().reduce((sum, count) => sum + count)).toBe(2);
  });

  test('reports a change after which it has started three times, also where it ends before it can note the change', async () => {
    const agent = await start();
    await plane.put('eco', { rules: [] });
    await eventually(() => agent.status().revision === 2, 'the change is on disk');
    const file = `${vehicle.databaseFile}.faults`;
    await agent.close();
    // The file is that of before the change, as after a cut between the two writes.
    const content = JSON.parse(await readFile(file, 'utf8')) as object;
    await writeFile(file, JSON.stringify({ ...content, changes: [], seenRevision: 1 }));
    for (let starts = 1; starts < 3; starts++) await (await start()).close();
    expect(reported()).toEqual([]);
    const last = await start();
    await eventually(() => reported().length === 1, 'it is reported');
    expect(reported().map(shortOf)).toEqual(['eco 2 RESTARTS']);
    expect(last.booleanValue('eco', true)).toBe(false);
  });

  test('reports no restarts where nothing has changed', async () => {
    await plane.put('eco', { rules: [] });
    for (let starts = 0; starts < 4; starts++) await (await start()).close();
    expect(reported()).toEqual([]);
  });

  test('goes on without the file where it is damaged', async () => {
    const agent = await start();
    agent.reportFault('eco', MESSAGE);
    await eventually(() => isAtRest(agent), 'it is reported');
    await agent.close();
    const lines: string[] = [];
    const content = await readFile(`${vehicle.databaseFile}.faults`, 'utf8');
    // A fault that cannot be reported must not take the connection with it: no date has this time, and no message so
    // much.
    const long = content.replace(MESSAGE, 'x'.repeat(1_000_000)).replace('"sent":true', '"sent":false');
    const endless = content
      .replace(/"at":\d+/, `"at":${Number.MAX_SAFE_INTEGER}`)
      .replace('"sent":true', '"sent":false');
    for (const text of ['{', '[]', '{"faults": 5}', long, endless]) {
      await writeFile(`${vehicle.databaseFile}.faults`, text);
      await rm(`${vehicle.databaseFile}.faults.previous`, { force: true });
      const next = await start({ log: (_level, line) => lines.push(line) });
      expect(next.booleanValue('eco', false)).toBe(true);
      expect(next.status().faults.latest).toEqual([]);
      await next.close();
    }
    expect(lines.filter((line) => /cannot use the current file of faults/.test(line))).toHaveLength(5);
  });
});

describe('a control plane', () => {
  test('that does not know faults gets none until it is updated, and the agent works with it', async () => {
    await plane.stop();
    const current = plane.sdl;
    plane.sdl = current.replace(/ reportFaults\([^)]*\): Boolean!/, '');
    expect(plane.sdl).not.toBe(current);
    await plane.listen();
    const lines: string[] = [];
    const agent = await start({ log: (_level, line) => lines.push(line) });
    agent.reportFault('eco', MESSAGE);
    await eventually(() => lines.some((line) => /cannot report faults/.test(line)), 'it says so');
    await plane.put('eco', { rules: [] });
    await eventually(() => !agent.booleanValue('eco', true), 'flags go on');
    expect(agent.status().faults).toMatchObject({ waiting: 1, dropped: 0 });
    await plane.stop();
    plane.sdl = current;
    await plane.listen();
    await eventually(() => isAtRest(agent), 'it is reported');
    expect(reported().map(shortOf)).toEqual(['eco 1 REPORTED_BY_PROGRAM']);
  });

  test.each([
    ['RATE_LIMITED', { code: 'RATE_LIMITED', retryAfter: 0 }],
    ['SERVICE_UNAVAILABLE', { code: 'SERVICE_UNAVAILABLE' }],
  ])('that refuses with %s for now gets the same fault again', async (_code, extensions) => {
    plane.onFaults = refuse(extensions);
    const agent = await start();
    agent.reportFault('eco', MESSAGE);
    await eventually(() => reported().length > 0, 'it was refused');
    expect(agent.status().faults).toMatchObject({ waiting: 1, dropped: 0 });
    plane.onFaults = () => undefined;
    await eventually(() => isAtRest(agent), 'it is reported');
  });

  test('that will never accept a fault does not get it again, and gets the others', async () => {
    await plane.put('sport', {});
    const isRefused = (fault: ReportedFault) => fault.flagKey === 'eco';
    plane.onFaults = (faults) => {
      const position = faults.findIndex(isRefused);
      if (position !== -1) refuse({ code: 'BAD_USER_INPUT', field: `input.faults.${position}.message` })();
    };
    const agent = await start();
    agent.reportFault('eco', MESSAGE);
    agent.reportFault('sport', MESSAGE);
    await eventually(() => isAtRest(agent), 'none waits');
    expect(agent.status().faults).toMatchObject({ dropped: 1, latest: [{ flagKey: 'sport', sent: true }] });
  });
});
