import { unwatchFile, watchFile } from 'node:fs';
import { appendFile, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, jest, test } from '@jest/globals';
import { eventually } from '../../core/testing/eventually.ts';
import { FlagsFileReader } from './flags-file-reader.ts';

const POLL_MS = 20;

let folder: string;
let file: string;
let reader: FlagsFileReader;
/** The keys of each reading that was used. */
let used: string[];
/** Called when the reader has heard of a change. */
let heard: () => void = () => undefined;

const flag = (key: string) =>
  `  ${key}: { name: A flag, type: boolean, safetyLevel: Non-Critical, enabled: true, defaultValue: true }\n`;
const START = `fleetflag: 1\nflags:\n${flag('lane_keep')}`;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'fleetflag-reader-'));
  file = join(folder, 'flags.yaml');
  used = [];
  await writeFile(file, START);
  reader = await FlagsFileReader.open({
    path: file,
    log: () => undefined,
    use: ({ flags }) => void used.push([...flags.keys()].join()),
    pollMs: POLL_MS,
  });
  // The listeners of a file share its polls, and are called in their order.
  watchFile(file, { interval: POLL_MS, persistent: false }, () => heard());
  // The polls go on by the real clock: they are no timers of JavaScript.
  jest.useFakeTimers({ doNotFake: ['nextTick', 'queueMicrotask', 'setImmediate'] });
});

afterEach(async () => {
  jest.useRealTimers();
  unwatchFile(file);
  await reader.close();
  await rm(folder, { recursive: true, force: true });
});

/** Adds a flag to the file. Resolves when a poll has found the change. */
async function added(key: string): Promise<void> {
  const found = new Promise<void>((resolve) => (heard = resolve));
  await appendFile(file, flag(key));
  await found;
}
const pass = (milliseconds: number) => jest.advanceTimersByTimeAsync(milliseconds);

test('a file that is written in two parts is read when it is whole', async () => {
  await added('limit');
  await pass(POLL_MS - 1);
  // A reading that had begun by now would end before this one.
  await readFile(file);
  await appendFile(file, flag('seat_heat'));
  await eventually(async () => {
    await pass(POLL_MS);
    return used.length > 1;
  }, 'the change is read');
  expect(used).toEqual(['lane_keep', 'lane_keep,limit,seat_heat']);
});

test('a change is read one poll after it was found', async () => {
  await added('limit');
  await pass(POLL_MS);
  await reader.close();
  expect(used).toEqual(['lane_keep', 'lane_keep,limit']);
});

test('a reader that is closed leaves the file to the other readers of it', async () => {
  const options = { path: file, log: () => undefined, use: () => undefined, pollMs: POLL_MS };
  await (await FlagsFileReader.open(options)).close();
  await added('limit');
  await eventually(async () => {
    await pass(POLL_MS);
    return used.length > 1;
  }, 'the change is read');
  expect(used).toEqual(['lane_keep', 'lane_keep,limit']);
});
