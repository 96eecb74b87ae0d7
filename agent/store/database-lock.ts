/**
 * The lock of a vehicle's database: a Unix socket beside it, on which its agent listens. The kernel closes the socket
 * with its process, however that ends, so nobody has to guess whether an owner is alive: who can connect is told who
 * it is. It holds across containers that share the folder, where process ids say nothing.
 */
import { constants } from 'node:fs';
import { mkdir, open, rm, type FileHandle } from 'node:fs/promises';
import { connect, createServer, type Server } from 'node:net';
import { basename, dirname, join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { FleetFlagError } from '../../core/errors.ts';
import { describeError, type Log } from '../log.ts';

/** Milliseconds that a living owner has to say who it is. */
const ANSWER_MS = 1_000;
const MAX_ANSWER_LENGTH = 500;
/** Attempts to take over a dead owner's socket, while others try the same. */
const MAX_ATTEMPTS = 100;
/** Milliseconds until another's attempt to take over is looked at again, and up to as long again. */
const TURN_MS = 10;

export class DatabaseLock {
  private constructor(
    private readonly server: Server,
    private readonly folder: FileHandle,
  ) {}

  /**
   * Takes the lock of the database `file`. Resolves to null where the folder takes no socket (it is read-only, or its
   * file system has none): an agent that cannot lock still has to evaluate.
   *
   * @param owner who this is, in one line, for the refusal that another agent gets
   * @throws FleetFlagError CONFLICT, which names the agent that has the lock
   */
  static async take(file: string, owner: string, log: Log): Promise<DatabaseLock | null> {
    let folder: FileHandle | null = null;
    try {
      await mkdir(dirname(file), { recursive: true });
      folder = await open(dirname(file), constants.O_RDONLY | constants.O_DIRECTORY);
      return new DatabaseLock(
        await takeSocket(join(placeIn(folder, dirname(file)), `${basename(file)}.lock`), file, owner),
        folder,
      );
    } catch (error) {
      await folder?.close();
      if (error instanceof FleetFlagError) throw error;
      log('warn', `no lock can be taken on ${file}, so nothing keeps a second agent from it: ${describeError(error)}`);
      return null;
    }
  }

  /** Gives the lock back and removes its file. */
  async release(): Promise<void> {
    await new Promise<void>((resolve) => this.server.close(() => resolve()));
    await this.folder.close();
  }
}

/** The folder as a path that is short enough for a socket's address (107 bytes), however deep the folder is. */
function placeIn(folder: FileHandle, path: string): string {
  return process.platform === 'linux' ? `/proc/self/fd/${folder.fd}` : path;
}

async function takeSocket(path: string, file: string, owner: string): Promise<Server> {
  if (Buffer.byteLength(path) > 90) throw new Error('the path is too long for a socket');
  for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
    const server = await listen(path, owner);
    if (server !== null) return server;
    await refuseWhileOwned(path, file);
    await removeDead(path, `${path}.takeover`, owner);
  }
  throw new Error('others take it at the same time, again and again');
}

/**
 * Removes the socket of a dead owner. Only who listens on `takeover` removes anything, and looks again before: of many
 * that found the owner dead none removes the socket of the one that has become the owner since.
 */
async function removeDead(path: string, takeover: string, owner: string): Promise<void> {
  const turn = await listen(takeover, owner);
  if (turn === null) {
    // Twice dead: whoever had the turn was killed in it. Once dead it may just be ending.
    for (let look = 0; look < 2; look++) {
      await pause(TURN_MS * (1 + Math.random()));
      if ((await ownerOf(takeover)) !== null) return;
    }
    await rm(takeover, { force: true });
    return;
  }
  try {
    if ((await ownerOf(path)) === null) await rm(path, { force: true });
  } finally {
    await new Promise<void>((resolve) => turn.close(() => resolve()));
  }
}

/** Resolves to null where the path is taken, by a living owner or a dead one. */
function listen(path: string, owner: string): Promise<Server | null> {
  return new Promise((resolve, reject) => {
    const server = createServer((socket) => {
      socket.on('error', () => socket.destroy());
      socket.end(`${owner}\n`);
      socket.unref();
    });
    server.once('error', (error: NodeJS.ErrnoException) =>
      error.code === 'EADDRINUSE' ? resolve(null) : reject(error),
    );
    server.listen(path, () => resolve(server.unref()));
  });
}

async function refuseWhileOwned(path: string, file: string): Promise<void> {
  const owner = await ownerOf(path);
  if (owner !== null) refuse(file, owner);
}

function refuse(file: string, owner: string): never {
  throw new FleetFlagError(
    'CONFLICT',
    `The database ${file} is in use by ${owner}. Stop that agent, or give this one a database of its own.`,
  );
}

/**
 * The name of the owner that listens there; null where nobody does. An owner that is too busy to answer is one all the
 * same.
 */
function ownerOf(path: string): Promise<string | null> {
  return new Promise((resolve) => {
    let answer = '';
    const socket = connect(path);
    const settle = (owner: string | null) => {
      socket.destroy();
      resolve(owner);
    };
    const silent = () =>
      settle(answer.trim().slice(0, MAX_ANSWER_LENGTH) || 'another agent, which does not say who it is');
    socket.setTimeout(ANSWER_MS, silent);
    socket.on('data', (data) => {
      answer += data.toString();
      if (answer.length > MAX_ANSWER_LENGTH) silent();
    });
    socket.once('end', silent);
    socket.once('error', (error: NodeJS.ErrnoException) =>
      error.code === 'ECONNREFUSED' || error.code === 'ENOENT' ? settle(null) : silent(),
    );
  });
}
