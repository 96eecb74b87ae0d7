import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { constants } from 'node:fs';
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import {
  NotRegularFile,
  fileKindFault,
  openRegularFile,
  readRegularFile,
  readRegularFileSync,
} from './regular-file.ts';

let folder: string;
let socket: Server;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'fleetflag-files-'));
  execFileSync('mkfifo', [join(folder, 'pipe')]);
  socket = createServer().listen(join(folder, 'socket'));
  await once(socket, 'listening');
});
afterAll(async () => {
  socket.close();
  await rm(folder, { recursive: true });
});

test('a regular file is read with its mode, synchronously or not', async () => {
  const path = join(folder, 'key.pem');
  await writeFile(path, 'key');
  await chmod(path, 0o640);
  for (const { bytes, mode } of [await readRegularFile(path), readRegularFileSync(path)])
    expect([bytes.toString(), mode & 0o777]).toEqual(['key', 0o640]);
  expect(await fileKindFault(path)).toBeNull();
  const made = await openRegularFile(join(folder, 'made'), constants.O_RDWR | constants.O_CREAT, 0o600);
  await made.close();
});

test('a missing file is another failure', async () => {
  const path = join(folder, 'none');
  expect(await fileKindFault(path)).toBeNull();
  await expect(readRegularFile(path)).rejects.toMatchObject({ code: 'ENOENT' });
  expect(() => readRegularFileSync(path)).toThrow('ENOENT');
});

describe.each([
  ['a named pipe that nobody writes to', () => join(folder, 'pipe'), 'a named pipe'],
  ['a folder', () => folder, 'a folder'],
  ['a device that never ends', () => '/dev/zero', 'a device'],
])('%s', (_, pathOf, kind) => {
  test('is refused without waiting for it, and named', async () => {
    const message = `${pathOf()} is ${kind}, not a regular file`;
    expect(await fileKindFault(pathOf())).toBe(message);
    await expect(readRegularFile(pathOf())).rejects.toThrow(new NotRegularFile(message));
    expect(() => readRegularFileSync(pathOf())).toThrow(new NotRegularFile(message));
  });
});

test('a socket is named; nothing opens it', async () => {
  const path = join(folder, 'socket');
  expect(await fileKindFault(path)).toBe(`${path} is a socket, not a regular file`);
  await expect(readRegularFile(path)).rejects.toMatchObject({ code: 'ENXIO' });
});
