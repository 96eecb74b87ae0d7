/**
 * Processes whose output goes where nothing can be written: they work, count the lines that are lost, and end on a
 * signal.
 */
import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, constants, openSync, writeSync } from 'node:fs';
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { createVehicleTokens } from '../core/credentials/vehicle-token.ts';
import { deleteEmbeddedPostgres } from '../subgraphs/shared/postgres/embedded/embedded-postgres.ts';
import { ROOT, eventually } from './harness/process.ts';
import { freePort } from '../core/testing/free-port.ts';

let folder: string;
let descriptors: number[];
let children: ChildProcess[];
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'fleetflag-unwritable-'));
  [descriptors, children] = [[], []];
});
afterEach(async () => {
  for (const child of children.filter(({ exitCode, signalCode }) => exitCode === null && signalCode === null)) {
    child.kill('SIGKILL');
    await once(child, 'close');
  }
  descriptors.forEach((descriptor) => closeSync(descriptor));
  await deleteEmbeddedPostgres(join(folder, 'data'));
  await rm(folder, { recursive: true, force: true });
});

function open(path: string, flags: number): number {
  const descriptor = openSync(path, flags);
  descriptors.push(descriptor);
  return descriptor;
}

/** The writing end of a pipe whose reader is there and has not read for so long that nothing more goes into it. */
function unreadPipe(): number {
  const path = join(folder, `pipe-${descriptors.length}`);
  execFileSync('mkfifo', [path]);
  const both = open(path, constants.O_RDWR | constants.O_NONBLOCK);
  for (const size of [4_096, 1]) {
    try {
      for (;;) writeSync(both, Buffer.alloc(size, 'x'));
    } catch (error) {
      expect((error as NodeJS.ErrnoException).code).toBe('EAGAIN');
    }
  }
  return open(path, constants.O_WRONLY);
}

/** The writing end of a pipe whose reader has gone. */
function closedPipe(): number {
  const path = join(folder, `pipe-${descriptors.length}`);
  execFileSync('mkfifo', [path]);
  const reader = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  const writer = open(path, constants.O_WRONLY);
  closeSync(reader);
  return writer;
}

const fullDisk = () => open('/dev/full', constants.O_WRONLY);

function start(
  program: string,
  args: readonly string[],
  environment: Readonly<Record<string, string>>,
  stdout: number,
  stderr: number,
): ChildProcess {
  const { PATH = '', HOME = '' } = process.env;
  const child = spawn(process.execPath, [program, ...args], {
    cwd: ROOT,
    env: { PATH, HOME, ...environment },
    stdio: ['ignore', stdout, stderr],
  });
  children.push(child);
  return child;
}

async function interrupted(child: ChildProcess): Promise<number | null> {
  const closed = once(child, 'close');
  child.kill('SIGINT');
  await closed;
  return child.exitCode;
}

/** The answer's text, or null while nothing answers. */
const read = (url: string) =>
  fetch(url).then(
    (response) => (response.ok ? response.text() : null),
    () => null,
  );

test.each([
  ['a full disk', fullDisk],
  ['a pipe whose reader has gone', closedPipe],
  ['a pipe that nobody reads', unreadPipe],
])(
  'an agent that writes into %s serves its status, counts the lines that it loses unless they wait, and ends on SIGINT',
  async (_where, sink) => {
    const [port, nobody] = [await freePort(), await freePort()];
    const tokenFile = join(folder, 'token');
    await writeFile(
      tokenFile,
      await createVehicleTokens('x'.repeat(32)).issue(
        'KMHK281HGNU000001',
        'production',
        new Date(Date.now() + 3_600_000),
      ),
      { mode: 0o600 },
    );
    const args = [
      '--url',
      `ws://127.0.0.1:${nobody}/graphql`,
      '--token-file',
      tokenFile,
      '--db',
      join(folder, 'vehicle.db'),
      '--listen',
      `127.0.0.1:${port}`,
    ];
    const agent = start('dist/fleetflag-agent.cjs', args, {}, sink(), sink());
    const status = await eventually(async () => {
      const text = await read(`http://127.0.0.1:${port}/v1/status`);
      const found = text === null ? null : (JSON.parse(text) as { vin: string | null; lostLogLines: number });
      return found !== null && (sink === unreadPipe || found.lostLogLines > 0) ? found : null;
    }, 'the status of the agent');
    expect(status.vin).toBe('KMHK281HGNU000001');
    expect(await interrupted(agent)).toBe(0);
  },
);

test('a control plane that cannot write its output starts, keeps the password in a file, counts the lost lines and ends on SIGINT', async () => {
  const dataDir = join(folder, 'data');
  const port = await freePort();
  const environment = { FLEETFLAG_DATA_DIR: dataDir, PORT: String(port), LOG_LEVEL: 'info' };
  const url = `http://127.0.0.1:${port}`;
  const ready = () => eventually(() => read(`${url}/health/ready`), 'readiness');

  const first = start('dist/start.js', [], environment, fullDisk(), fullDisk());
  await ready();
  const file = join(dataDir, 'administrator-password');
  expect((await stat(file)).mode & 0o777).toBe(0o600);
  const password = (await readFile(file, 'utf8')).trim();
  const query = `mutation { login(email: "admin@fleetflag.local", password: ${JSON.stringify(password)}) { user { role } } }`;
  const answer = await fetch(`${url}/graphql`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ query }),
  });
  expect(await answer.json()).toMatchObject({ data: { login: { user: { role: 'ADMIN' } } } });
  expect(
    Number(/^fleetflag_log_lines_lost_total (\d+)$/m.exec((await read(`${url}/metrics`)) ?? '')?.[1]),
  ).toBeGreaterThan(0);
  expect(await interrupted(first)).toBe(0);

  const second = start('dist/start.js', [], environment, closedPipe(), unreadPipe());
  await ready();
  expect(await interrupted(second)).toBe(0);
});
