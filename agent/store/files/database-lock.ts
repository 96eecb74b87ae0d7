/**
 * The lock of a vehicle's database: a Unix socket beside it, on which the owning agent listens. The kernel closes the
 * socket when the process ends, however it ends, so a lock whose owner answers is held, and any other is not. The lock
 * works across containers that share the folder, where process ids mean nothing.
 */
import type { VehicleIdentity } from '../../state.ts';
import { constants } from 'node:fs';
import { mkdir, open, rm, type FileHandle } from 'node:fs/promises';
import { connect, createServer, type Server } from 'node:net';
import { basename, dirname, join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { FleetFlagError } from '../../../core/errors.ts';
import { describeError, type Log } from '../../log.ts';

/** The milliseconds that a living owner has to answer with its name. */
const ANSWER_MS = 1_000;
const MAX_ANSWER_LENGTH = 500;
/** The attempts to take over a dead owner's socket while other agents try the same. */
const MAX_ATTEMPTS = 100;
/** The milliseconds before another agent's attempt to take over is checked again; up to as many are added at random. */
const TURN_MS = 10;

/** A lock that this process holds. */
export class DatabaseLock {
  private constructor(
    private readonly server: Server,
    private readonly folder: FileHandle,
  ) {}

  /**
   * Acquires the lock of the database `file`. Resolves to null where the folder can hold no socket (it is read-only, or
   * its file system has none), because an agent that cannot lock must still evaluate.
   *
   * @param owner the name of this agent in one line, for the refusal that another agent gets
   * @throws FleetFlagError CONFLICT, which names the agent that holds the lock
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
      log(
        'warn',
        `cannot lock the database ${file}; going on without a lock, so a second agent could use it as well: ${describeError(error)}`,
      );
      return null;
    }
  }

  /** Releases the lock and removes its file. */
  async release(): Promise<void> {
    await new Promise<void>((resolve) => this.server.close(() => resolve()));
    await this.folder.close();
  }
}

/** Gives a path of the folder that is short enough for a socket's address (107 bytes), however deep the folder is. */
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
  throw new Error('other agents keep taking the lock at the same time');
}

/**
 * Removes the socket of a dead owner. Only the agent that listens on `takeover` may remove it, and it checks the owner
 * again first. So of several agents that found the owner dead, none removes the socket of a new owner.
 */
async function removeDead(path: string, takeover: string, owner: string): Promise<void> {
  const turn = await listen(takeover, owner);
  if (turn === null) {
    // An agent that is found dead once may be ending; one that is found dead twice was killed during its takeover.
    for (let check = 0; check < 2; check++) {
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

/** Listens on a path. Resolves to null where a socket exists there, of a living owner or a dead one. */
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
    `The database ${file} is in use by ${owner}. Stop that agent, or give this one another database file.`,
  );
}

/**
 * Resolves to the name of the owner that listens on a path; null where none does. An owner that is too busy to answer
 * still counts as one.
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
      settle(answer.trim().slice(0, MAX_ANSWER_LENGTH) || 'another agent, which does not identify itself');
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

/** Gives the name of this agent's process, which another agent gets when it finds the database locked. */
export function ownerName(identity: VehicleIdentity | null): string {
  const vehicle = identity === null ? '' : ` of ${identity.vin}`;
  return `the FleetFlag agent${vehicle} with process id ${process.pid}, started at ${new Date().toISOString()}`;
}
