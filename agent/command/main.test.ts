import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from '@jest/globals';
import type { AgentStatus } from '../api/agent-status.ts';
import { bundleCommand } from '../packing/bundle.ts';
import { USAGE } from './configuration.ts';
import { TEST_VIN, TestControlPlane } from '../testing/control-plane.ts';
import { TestVehicle } from '../testing/test-vehicle.ts';
import { eventually } from '../../core/testing/eventually.ts';
import { rounds } from '../../core/testing/rounds.ts';
import { AGENT_VERSION } from '../version.ts';

/** A folder with the bundled command, which starts in a fifth of the time that the sources need. */
let program: string;
let plane: TestControlPlane;
let vehicle: TestVehicle;
const children = new Set<ChildProcess>();

beforeAll(async () => {
  program = await mkdtemp(join(tmpdir(), 'fleetflag-command-'));
  await bundleCommand(program);
});

afterAll(() => rm(program, { recursive: true, force: true }));

beforeEach(async () => {
  plane = await TestControlPlane.start();
  vehicle = await TestVehicle.create(plane);
});

afterEach(async () => {
  for (const child of children) if (child.exitCode === null && child.signalCode === null) await kill(child, 'SIGKILL');
  children.clear();
  await vehicle.dispose();
  await plane.stop();
});

interface AgentProcess {
  readonly child: ChildProcess;
  readonly output: () => string;
  readonly log: () => string;
}

function run(args: readonly string[]): AgentProcess {
  const child = spawn(process.execPath, [join(program, 'fleetflag-agent.cjs'), ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { PATH: process.env.PATH },
  });
  children.add(child);
  let [output, log] = ['', ''];
  child.stdout.on('data', (data: Buffer) => (output += data.toString()));
  child.stderr.on('data', (data: Buffer) => (log += data.toString()));
  return { child, output: () => output, log: () => log };
}

function runVehicle(...more: string[]): AgentProcess {
  return run(['--url', plane.url, '--token-file', vehicle.tokenFile, '--db', vehicle.databaseFile, ...more]);
}

async function kill(child: ChildProcess, signal: NodeJS.Signals): Promise<number | null> {
  const exited = once(child, 'exit') as Promise<[number | null]>;
  child.kill(signal);
  return (await exited)[0];
}

async function statusOf(agent: AgentProcess): Promise<AgentStatus> {
  await eventually(() => agent.log().includes('listening on '), 'it listens');
  const base = /listening on (http:\S+)/.exec(agent.log())![1]!;
  return (await (await fetch(`${base}/v1/status`)).json()) as AgentStatus;
}

test('a second process on one database exits with 1 and names the first, which a closed terminal stops regularly', async () => {
  await plane.put('a');
  const first = runVehicle();
  await eventually(() => first.output().includes('\n'), 'it is ready');
  const second = runVehicle();
  expect(await (once(second.child, 'exit') as Promise<[number | null]>)).toEqual([1, null]);
  expect(second.log()).toContain(`is in use by the FleetFlag agent of ${TEST_VIN} with process id ${first.child.pid}`);
  expect(await kill(first.child, 'SIGHUP')).toBe(0);
  expect(first.log()).toContain('stopping on SIGHUP');
});

test('the process says when it is ready, trusts the first keys for good, and stops cleanly', async () => {
  await plane.put('a');
  const agent = runVehicle('--listen', '127.0.0.1:0');
  await eventually(() => agent.output().includes('\n'), 'it is ready');
  expect(agent.output()).toBe('FleetFlag agent ready: revision 1, 1 flags\n');
  expect(agent.log()).toContain('synced to revision 1');
  expect(agent.log()).toContain(`trusting those that`);
  expect(await statusOf(agent)).toMatchObject({ vin: TEST_VIN, connected: true, revision: 1 });
  await plane.put('b');
  await eventually(() => agent.log().includes('changed b at revision 2'), 'the change is logged');
  expect(await kill(agent.child, 'SIGTERM')).toBe(0);

  // Another control plane at the same address, with keys of its own.
  const impostor = await TestControlPlane.start();
  try {
    for (const key of ['a', 'b', 'c']) await impostor.put(key, { defaultValue: true });
    const again = run(['--url', impostor.url, '--token-file', vehicle.tokenFile, '--db', vehicle.databaseFile]);
    await eventually(() => again.log().includes('unknown-key'), 'it is refused');
    expect(again.output()).toBe('FleetFlag agent ready: revision 2, 2 flags\n');
    expect(await kill(again.child, 'SIGINT')).toBe(0);
  } finally {
    await impostor.stop();
  }
});

test('killed at any moment, it starts again without network from a state that it once had', async () => {
  await plane.put('counter', { type: 'number', defaultValue: 1 });
  let reported = 0;
  for (let round = 0; round < rounds(2, 4); round++) {
    const agent = runVehicle('--keys', vehicle.keysFile);
    await eventually(() => agent.output().includes('ready'), 'it is ready');
    await eventually(() => plane.streams > 0, 'it follows');
    for (let edit = 0; edit < 5 + 7 * round; edit++) await plane.put('counter', { defaultValue: plane.revision + 1 });
    await eventually(() => appliedRevision(agent) > reported, 'some of it is applied');
    await kill(agent.child, 'SIGKILL');
    reported = Math.max(reported, appliedRevision(agent));
  }
  await plane.stop();
  const after = runVehicle('--keys', vehicle.keysFile, '--listen', '127.0.0.1:0');
  const status = await statusOf(after);
  expect(status.store).toMatchObject({ faults: [], writeFault: null });
  expect(status.revision).toBeGreaterThanOrEqual(reported);
  const base = /listening on (http:\S+)/.exec(after.log())![1]!;
  const answer = await fetch(`${base}/ofrep/v1/evaluate/flags/counter`, { method: 'POST', body: '{}' });
  expect(await answer.json()).toMatchObject({ value: status.revision, metadata: { revision: status.revision } });
});

test('wrong settings make it exit with 2 and one message', async () => {
  const agent = run(['--url', 'nowhere', '--listen', '0.0.0.0:1']);
  const [code] = (await once(agent.child, 'close')) as [number];
  expect(code).toBe(2);
  for (const fault of ['--url', '--token-file', '--db', '--listen 0.0.0.0:1'])
    expect(agent.log()).toContain(`  - ${fault}`);
  expect(agent.log()).toContain('Usage:');
  expect(agent.log()).not.toContain('    at ');
});

/** The newest revision that an agent has reported as applied. */
function appliedRevision(agent: AgentProcess): number {
  return Math.max(
    0,
    ...[...agent.log().matchAll(/(?:changed counter at|synced to) revision (\d+)/g)].map(([, revision]) =>
      Number(revision),
    ),
  );
}

test('asked for help or its version, it prints only that and exits with 0', async () => {
  const ended = async (...args: string[]) => {
    const { child, output, log } = run(args);
    const [code] = (await once(child, 'close')) as [number | null];
    return { code, output: output(), log: log() };
  };
  const [help, short, version] = await Promise.all([ended('--help'), ended('-h'), ended('--version')]);
  expect(help).toEqual({ code: 0, output: `${USAGE}\n`, log: '' });
  expect(short).toEqual(help);
  expect(version).toEqual({ code: 0, output: `${AGENT_VERSION}\n`, log: '' });
});

test('a pipe in place of a file makes it exit with 2 at the start; later the last good file stays in effect, and a signal ends it', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'fleetflag-pipe-'));
  try {
    const [pipe, flags] = [join(folder, 'pipe'), join(folder, 'flags.yaml')];
    execFileSync('mkfifo', [pipe]);
    const refused = run(['--url', plane.url, '--token-file', vehicle.tokenFile, '--db', pipe]);
    expect(await (once(refused.child, 'exit') as Promise<[number | null]>)).toEqual([2, null]);
    expect(refused.log()).toContain(`--db: ${pipe} is a named pipe, not a regular file`);
    expect(await readdir(folder)).toEqual(['pipe']);

    await writeFile(flags, 'fleetflag: 1\noverrides: { a: true }\n');
    const agent = run(['--flags', flags, '--listen', '127.0.0.1:0']);
    await eventually(() => agent.log().includes('listening on '), 'it listens');
    await rm(flags);
    execFileSync('mkfifo', [flags]);
    await eventually(() => agent.log().includes('is a named pipe, not a regular file'), 'it says so');
    expect((await statusOf(agent)).localFlags).toMatchObject({
      overrides: ['a'],
      fault: expect.stringContaining('named pipe'),
    });
    expect(await kill(agent.child, 'SIGTERM')).toBe(0);
  } finally {
    await rm(folder, { recursive: true });
  }
});
