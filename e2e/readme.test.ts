import { execFile, spawnSync } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect } from '@jest/globals';
import { ADMIN, Deployment } from './harness/deployment.ts';
import { boundAddress } from '../core/wire/http-server.ts';
import { testUnless } from '../core/testing/unless.ts';

/** The examples are for a shell with curl, which not every machine has; the tests need nothing but npm packages. */
const withCurl = testUnless(spawnSync('curl', ['--version']).status === 0 ? null : 'there is no curl');

const ROOT = fileURLToPath(new URL('../', import.meta.url));
let deployment: Deployment;
let folder: string;

beforeAll(async () => {
  deployment = await Deployment.start();
  folder = await mkdtemp(join(tmpdir(), 'fleetflag-readme-'));
}, 120_000);

afterAll(async () => {
  await deployment?.remove();
  await rm(folder, { recursive: true, force: true });
}, 60_000);

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  const { port } = boundAddress(server);
  await new Promise((resolve) => server.close(resolve));
  return port;
}

withCurl(
  "the README's examples work as they are written, one after the other",
  async () => {
    const readme = await readFile(join(ROOT, 'README.md'), 'utf8');
    const examples = [
      ...readme.slice(readme.indexOf('## Use'), readme.indexOf('## Test')).matchAll(/```sh\n(.*?)```/gs),
    ].map(([, text]) => text ?? '');
    expect(examples).toHaveLength(3);
    const port = await freePort();
    const script = examples
      .join('\n')
      .replaceAll('localhost:4000', new URL(deployment.url).host)
      .replaceAll('127.0.0.1:7788', `127.0.0.1:${port}`)
      .replace('THE PASSWORD', ADMIN.password)
      // The agent is a process of the script's own, and the next line waits for it as a person would.
      .replace(
        /^npm run agent -- (.*) &$/m,
        (
          _line,
          options: string,
        ) => `(cd ${ROOT} && exec ${process.execPath} --import tsx agent/command/main.ts ${options.replaceAll(' vehicle.', ` ${folder}/vehicle.`)} > ${folder}/agent.log 2>&1) & AGENT=$!
until curl -sf http://127.0.0.1:${port}/v1/status | grep -q '"revision":2'; do sleep 0.1; done`,
      );
    const { stdout } = await promisify(execFile)('bash', ['-c', `trap 'kill $AGENT; wait $AGENT' EXIT\n${script}`], {
      cwd: folder,
      timeout: 60_000,
      env: { PATH: process.env['PATH'] },
    });
    const answers = stdout.match(/^\{.*?\}(?=\{"|\n|$)/gms) ?? [];
    expect(stdout).not.toContain('"errors"');
    expect(answers.join('\n')).toContain('"history":{"nodes":[{"action":"CREATE_RULE"');
    const [, inVehicle] = /\{"key":"lane_keep","value":(true|false),"reason":"(?:SPLIT|DEFAULT)"/.exec(stdout) ?? [];
    const [, onServer] = /"evaluateFlag":\{"value":(true|false)/.exec(stdout) ?? [];
    expect(inVehicle).toBeDefined();
    expect(inVehicle).toBe(onServer);
  },
  90_000,
);
