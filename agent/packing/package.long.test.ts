import { execFile, spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readFile, readdir, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { TestControlPlane } from '../testing/control-plane.ts';
import { TestVehicle } from '../testing/test-vehicle.ts';
import { eventually } from '../../core/testing/eventually.ts';
import { testUnless } from '../../core/testing/unless.ts';

const AGENT = fileURLToPath(new URL('../', import.meta.url));
const MODULES = fileURLToPath(new URL('../../node_modules', import.meta.url));
const run = promisify(execFile);

/** The folder of a program that has installed the package, and nothing else. */
let program: string;
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'fleetflag-package-'));
  program = join(folder, 'program');
  await mkdir(program);
  await writeFile(join(program, 'package.json'), '{"private": true, "type": "module"}');
  // Offline and with an empty cache: what is not in the package is not there.
  const env = {
    PATH: process.env['PATH'],
    HOME: folder,
    npm_config_cache: join(folder, 'cache'),
    npm_config_offline: 'true',
  };
  const { stdout } = await run('npm', ['pack', '--json', '--pack-destination', folder], { cwd: AGENT, env });
  const [{ filename }] = JSON.parse(stdout.slice(stdout.indexOf('['))) as [{ filename: string }];
  await run('npm', ['install', '--no-audit', '--no-fund', join(folder, filename)], { cwd: program, env });
}, 120_000);

afterAll(() => rm(folder, { recursive: true, force: true }));

async function filesOf(path: string): Promise<{ readonly path: string; readonly bytes: number }[]> {
  const entries = await readdir(path, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  return Promise.all(files.map(async (file) => ({ path: file, bytes: (await stat(file)).size })));
}

test('it installs alone: one package under 15 MB, with no native code and no install scripts', async () => {
  expect((await readdir(join(program, 'node_modules'))).filter((name) => !name.startsWith('.'))).toEqual([
    '@fleetflag',
  ]);
  const files = await filesOf(join(program, 'node_modules'));
  expect(files.reduce((sum, { bytes }) => sum + bytes, 0)).toBeLessThan(15_000_000);
  expect(files.filter(({ path }) => /\.(node|so|dll|dylib)$|binding\.gyp$/.test(path))).toEqual([]);
  const manifest = JSON.parse(await readFile(join(program, 'node_modules/@fleetflag/agent/package.json'), 'utf8')) as {
    dependencies?: object;
    scripts: object;
  };
  expect(manifest.dependencies ?? {}).toEqual({});
  expect(Object.keys(manifest.scripts)).toEqual(['prepack']);
  const notices = await readFile(join(program, 'node_modules/@fleetflag/agent/dist/THIRD-PARTY-LICENSES.txt'), 'utf8');
  for (const name of ['graphql-ws', 'jose', 'sql.js', 'ws', 'yaml'])
    expect(notices).toMatch(new RegExp(`^${name} \\d`, 'm'));
});

test('its types are complete, with all declarations that they refer to', async () => {
  await mkdir(join(program, 'node_modules/@types'), { recursive: true });
  for (const name of ['@types/node', '@openfeature', 'undici-types'])
    await symlink(join(MODULES, name), join(program, 'node_modules', name));
  await writeFile(
    join(program, 'typed.ts'),
    `import { FleetFlagAgent, PinnedKeys, type FlagChange } from '@fleetflag/agent';
     import { FleetFlagProvider } from '@fleetflag/agent/openfeature';
     import { OpenFeature } from '@openfeature/server-sdk';
     const agent = new FleetFlagAgent({ url: 'ws://host/graphql', tokenFile: 't', databaseFile: 'd', keys: await PinnedKeys.parse({}) });
     agent.onChange((change: FlagChange) => console.log(change.key, change.revision, agent.booleanValue('a', false)));
     // @ts-expect-error a number is no default of a boolean flag
     agent.booleanValue('a', 1);
     await OpenFeature.setProviderAndWait(new FleetFlagProvider(agent, { staleAfterMs: 1000 }));`,
  );
  const flags = [
    '--noEmit',
    '--strict',
    '--module',
    'nodenext',
    '--target',
    'es2022',
    '--types',
    'node',
    '--ignoreConfig',
    'typed.ts',
  ];
  const checked = await run(process.execPath, [join(MODULES, 'typescript/bin/tsc'), ...flags], { cwd: program }).catch(
    (error: { stdout: string }) => error,
  );
  expect(checked.stdout).toBe('');
});

describe('its command', () => {
  let plane: TestControlPlane;
  let vehicle: TestVehicle;
  const children = new Set<ChildProcess>();

  beforeEach(async () => {
    plane = await TestControlPlane.start();
    vehicle = await TestVehicle.create(plane);
  });

  afterEach(async () => {
    for (const child of children)
      if (child.exitCode === null && child.signalCode === null) await stop(child, 'SIGKILL');
    children.clear();
    await vehicle.dispose();
    await plane.stop();
  });

  async function stop(child: ChildProcess, signal: NodeJS.Signals): Promise<number | null> {
    const exited = once(child, 'exit') as Promise<[number | null]>;
    child.kill(signal);
    return (await exited)[0];
  }

  /** Starts the installed command; resolves to the address that it listens on, once it is ready. */
  async function start(
    args: readonly string[] = [
      '--url',
      plane.url,
      '--token-file',
      vehicle.tokenFile,
      '--db',
      vehicle.databaseFile,
      '--keys',
      vehicle.keysFile,
      '--listen',
      '127.0.0.1:0',
    ],
  ): Promise<{ child: ChildProcess; base: string; ready: string }> {
    const child = spawn(join(program, 'node_modules/.bin/fleetflag-agent'), args, {
      cwd: program,
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { PATH: process.env['PATH'] },
    });
    children.add(child);
    let [output, log] = ['', ''];
    child.stdout.on('data', (data: Buffer) => (output += data.toString()));
    child.stderr.on('data', (data: Buffer) => (log += data.toString()));
    await eventually(() => {
      if (child.exitCode !== null) throw new Error(`The agent has ended: ${log}`);
      return output.includes('\n') && log.includes('listening on ');
    }, 'it is ready and listens');
    return { child, base: /listening on (http:\S+)/.exec(log)![1]!, ready: output };
  }

  const ask = async (base: string) =>
    (await (
      await fetch(`${base}/ofrep/v1/evaluate/flags/lane-keep`, { method: 'POST', body: '{"context":{}}' })
    ).json()) as object;

  test('syncs, answers OFREP, follows changes, and starts again from its file without a control plane', async () => {
    await plane.put('lane-keep', { defaultValue: true });
    const agent = await start();
    expect(agent.ready).toBe('FleetFlag agent ready: revision 1, 1 flags\n');
    expect(await ask(agent.base)).toMatchObject({ key: 'lane-keep', value: true, reason: 'DEFAULT' });
    await plane.put('lane-keep', { defaultValue: false });
    await eventually(
      async () => ((await ask(agent.base)) as { value: boolean }).value === false,
      'the change has come',
    );
    expect(await stop(agent.child, 'SIGTERM')).toBe(0);
    await plane.stop();

    const offline = await start();
    expect(offline.ready).toBe('FleetFlag agent ready: revision 2, 1 flags\n');
    expect(await ask(offline.base)).toMatchObject({ value: false, metadata: { revision: 2 } });
  });

  test('serves a file of flags with no control plane, as the guide has it', async () => {
    const [, flags] = /```yaml\n(fleetflag: 1\n.*?)```/s.exec(
      await readFile(join(AGENT, '../docs/guides/agent.md'), 'utf8'),
    )!;
    await writeFile(join(vehicle.folder, 'flags.yaml'), flags!);
    const agent = await start([
      '--flags',
      join(vehicle.folder, 'flags.yaml'),
      '--vin',
      'KMHK281HGNU000001',
      '--region',
      'EU',
      '--listen',
      '127.0.0.1:0',
    ]);
    expect(agent.ready).toBe('FleetFlag agent ready: revision 1, 2 flags\n');
    const answer = await fetch(`${agent.base}/ofrep/v1/evaluate/flags`, { method: 'POST', body: '{}' });
    expect(await answer.json()).toMatchObject({
      flags: [
        { key: 'drive_mode', value: 'sport', variant: 'override' },
        { key: 'lane_keep', value: true, reason: 'TARGETING_MATCH' },
      ],
    });
    expect(await stop(agent.child, 'SIGTERM')).toBe(0);
  });

  test('the examples of the guide run as they are written', async () => {
    await plane.put('lane_keep', { defaultValue: true });
    await plane.put('drive_mode', { type: 'string', defaultValue: 'eco' });
    const guide = await readFile(join(AGENT, '../docs/guides/agent.md'), 'utf8');
    const examples = [...guide.matchAll(/```js\n(.*?)```/gs)].map(([, text]) => text!);
    expect(examples).toHaveLength(2);
    await rm(join(program, 'node_modules/@openfeature'), { force: true });
    await symlink(join(MODULES, '@openfeature'), join(program, 'node_modules/@openfeature'));
    for (const [index, expected] of ['true\nDEFAULT\n', 'true\n'].entries()) {
      const text = examples[index]!.replace('ws://localhost:4000/graphql', plane.url).replace(
        /'(vehicle\.token|flags\.db|keys\.json)'/g,
        (_, name: string) => `'${join(vehicle.folder, name)}'`,
      );
      await writeFile(join(program, 'example.js'), text);
      expect((await run(process.execPath, ['example.js'], { cwd: program, timeout: 30_000 })).stdout).toBe(expected);
    }
  });

  testUnless(spawnSync('python3', ['--version']).status === 0 ? null : 'there is no python3')(
    'the Python example gets a flag, and its default where no agent answers',
    async () => {
      await plane.put('lane_keep', { defaultValue: true });
      const { child, base } = await start();
      const [, text] = /```python\n(.*?)```/s.exec(await readFile(join(AGENT, '../docs/guides/agent.md'), 'utf8'))!;
      const ask = async () => (await run('python3', ['-c', text!.replace('http://127.0.0.1:7788', base)])).stdout;
      expect(await ask()).toBe('True\n');
      await stop(child, 'SIGTERM');
      expect(await ask()).toBe('False\n');
    },
  );
});
