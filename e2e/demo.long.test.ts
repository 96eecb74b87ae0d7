import { mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:net';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect } from '@jest/globals';
import { KNOWN_EFFECT } from '../commands/demo/fleet/driving.ts';
import type { ComparedNumbers } from '../subgraphs/experiments/statistics/welch/welch-comparison.ts';
import { interval, percent, probability } from '../commands/demo/measured-experiment.ts';
import { demoAnalysis } from '../tests/testing/demo-analysis.ts';
import { DISTRIBUTED } from './harness/deployment.ts';
import { ProjectProcess } from './harness/process.ts';
import { boundAddress } from '../core/wire/network/http-server.ts';
import { testUnless } from '../core/testing/unless.ts';

// The demo brings its own embedded stores, whatever servers there are.
const embedded = testUnless(DISTRIBUTED ? 'it is about the embedded stores, and this run has servers' : null);

/**
 * Milliseconds for the demo's start on a busy machine: it runs from the sources and creates a database, while other
 * tests copy one.
 */
const START_TIMEOUT_MS = 180_000;

let temporary: string;
let demo: ProjectProcess | undefined;

beforeEach(async () => {
  temporary = await mkdtemp(join(tmpdir(), 'ff-demo-'));
});

afterEach(async () => {
  await demo?.stop();
  demo = undefined;
  await rm(temporary, { recursive: true, force: true });
});

function startDemo(args: readonly string[], environment: Readonly<Record<string, string>> = {}): ProjectProcess {
  demo = new ProjectProcess(['commands/demo.ts', ...args], { PORT: '0', TMPDIR: temporary, ...environment });
  return demo;
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

/** Gives the ids of the processes that know the test's own temporary folder; none elsewhere than on Linux. */
async function heirs(): Promise<string[]> {
  if (process.platform !== 'linux') return [];
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  const texts = await Promise.all(
    pids.map(async (pid) =>
      Promise.all(['environ', 'cmdline'].map((file) => readFile(`/proc/${pid}/${file}`, 'latin1').catch(() => ''))),
    ),
  );
  return pids.filter((_, index) => texts[index]!.some((text) => text.includes(temporary)));
}

async function expectNothingLeft(pids: readonly number[]): Promise<void> {
  expect(pids.filter(isAlive)).toEqual([]);
  expect(await heirs()).toEqual([]);
  expect((await readdir(temporary)).filter((name) => name.startsWith('fleetflag'))).toEqual([]);
}

embedded(
  'the demo shows every step with what it measured, ends with code 0 and leaves no process and no folder',
  async () => {
    const show = startDemo(['--once', '--fast']);
    expect(await show.ended()).toBe(0);
    expect(show.stderr).toBe('');
    const text = show.stdout;
    const titles = [
      'What is there',
      'A rule change reaches the vehicles',
      'A change of an ASIL-D flag takes two people',
      'A rollout does harm, and its guard pulls it back',
      'A change reaches some vehicles first, does harm there, and is taken back',
      'A kill switch reaches the vehicles',
      'An experiment finds an effect that was put in',
      'The control plane stops; the vehicles go on',
      'The control plane comes back; the vehicles catch up',
      'The record of all this is complete',
      'How to explore it',
    ];
    const steps = titles.map((title, index) => text.indexOf(`\n${index + 1}  ${title}\n`));
    expect(steps.every((position, index) => position > (steps[index - 1] ?? 0))).toBe(true);

    expect(text).toContain('240 vehicles. 17 flags:');
    expect(text).toContain(
      'third_row_ventilation is for one model, the EV9. lane_keep_hints requires adas_lane_keep_v2,',
    );
    for (const vehicle of ['Ioniq 6', 'EV9', 'GV60']) {
      expect(text).toMatch(new RegExp(`${vehicle} +standard +→ +fast-v3 +SPLIT +\\d[\\d.]* ms`));
      expect(text).toMatch(new RegExp(`${vehicle} +true +→ +false +DISABLED +\\d[\\d.]* ms`));
      // Asked for exactly what it had, and got the flags that changed, not the changes.
      // The EV9 has the flag that is for it alone.
      const flags = vehicle === 'EV9' ? 17 : 16;
      expect(text).toMatch(new RegExp(`${vehicle} +(\\d+) +since \\1 +3 of ${flags} +\\d+ +\\d[\\d.]* ms`));
    }
    // What is shown is what the analysis makes of the trips that were simulated, digit for digit.
    const analysis = demoAnalysis();
    const rows = text.split('\n').map((line) => line.trim().split(/ {2,}/));
    const cells = (name: string, { improvementPercent, confidenceInterval, pValue }: ComparedNumbers) => [
      name,
      percent(improvementPercent),
      interval(confidenceInterval),
      probability(pValue),
    ];
    expect(rows).toContainEqual(cells('with their history', analysis.cuped!));
    // Beside them stand the numbers of the test that holds at every look.
    const estimated = rows.find(([name]) => name === 'estimated') ?? [];
    expect(estimated.slice(0, 4)).toEqual(cells('estimated', analysis));
    expect([estimated.length, Number(estimated[4])]).toEqual([6, expect.any(Number)]);
    expect(Number(estimated[4])).toBeLessThan(0.05);
    expect(text).toContain('Significant at this look: yes.');
    expect(text).toContain(`with eco_route they use ${percent(KNOWN_EFFECT)} energy`);
    expect(text).toMatch(/Watch along: http:\/\/localhost:\d+\/console\n/);
    expect(text).toMatch(/You cannot review your own change request/);
    expect(text).toMatch(/with it +\d+ +\d\d\.\d %/);
    expect(text).toMatch(/GV60 +240\n/);
    expect(text).toMatch(/\d\.\d s later everybody has the former limit\./);
    expect(text).toMatch(/Vehicles report faults: 1 of \d+ /);
    expect(text).toMatch(/The other 237 vehicles, simulated, .* the last after \d\.\d\d s\./);
    expect(text).toMatch(/\d\d\d entries of the audit log, .*: unbroken\./);
    expect(text).toMatch(/Playground +http:\/\/localhost:\d+\//);
    expect(text).not.toContain('\u001B[');

    const pids = [...text.matchAll(/process (\d+)|^ +\S.* [A-Z0-9]{17} .* (\d{2,}) +\d+ +1[45] /gm)].map(
      ([, one, other]) => Number(one ?? other),
    );
    expect(new Set(pids).size).toBe(6);
    await expectNothingLeft(pids);
  },
  420_000,
);

embedded(
  'Ctrl-C in the middle of the show ends every process and removes the folder',
  async () => {
    const show = startDemo([]);
    const [, controlPlane] = await show.printed(/Control plane: process (\d+)/, 'stdout', START_TIMEOUT_MS);
    await show.printed(/A rule change reaches/);
    show.child.kill('SIGINT');
    show.child.kill('SIGINT');
    expect(await show.ended()).toBe(130);
    expect(show.stderr).toBe('');
    await expectNothingLeft([Number(controlPlane)]);
  },
  300_000,
);

embedded(
  '--open opens the console that stays up, and says so where there is no browser',
  async () => {
    // The programs that open addresses, on Linux and macOS. This one notes the address, and then has no browser.
    const opened = join(temporary, 'opened');
    for (const command of ['xdg-open', 'open'])
      await writeFile(join(temporary, command), `#!/bin/sh\nprintf %s "$1" > ${opened}\nexit 3\n`, { mode: 0o755 });
    const show = startDemo(['--fast', '--open'], { PATH: `${temporary}:${process.env['PATH']}` });
    const [, said] = await show.printed(/No browser could be opened here\. Open (\S+) yourself\./, 'stdout', 300_000);
    const address = await readFile(opened, 'utf8');
    expect(said).toBe(address);
    expect(await (await fetch(address)).text()).toContain('<title>FleetFlag');
    show.child.kill('SIGINT');
    expect(await show.ended()).toBe(0);
    expect(show.stderr).toBe('');
    await expectNothingLeft([]);
  },
  420_000,
);

embedded(
  'a port that is taken ends the demo with code 1 and says what to do',
  async () => {
    const other: Server = createServer().listen(0, '127.0.0.1');
    await once(other, 'listening');
    try {
      const show = startDemo(['--once'], { PORT: String(boundAddress(other).port) });
      expect(await show.ended()).toBe(1);
      expect(show.stderr).toMatch(/The demo failed: .*the port is in use.*set PORT to another/);
      await expectNothingLeft([]);
    } finally {
      other.close();
    }
  },
  120_000,
);

embedded('an option that the demo does not have ends it with code 2 and the usage', async () => {
  const show = startDemo(['--forever']);
  expect(await show.ended()).toBe(2);
  expect(show.stderr).toContain('Usage: npm run demo');
});

embedded('a page that would be gone at once is not opened: --once and --open exclude each other', async () => {
  const show = startDemo(['--once', '--open']);
  expect(await show.ended()).toBe(2);
  expect(show.stderr).toContain('leave one of them out');
});
