/**
 * The unix socket by which a command on this machine asks the process that has the embedded metrics store open: only
 * one process can have it open. It is for the account that runs the control plane, and for root.
 */
import { createHash } from 'node:crypto';
import { chmod, rm, stat } from 'node:fs/promises';
import { createServer, request, type IncomingMessage, type ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { text } from 'node:stream/consumers';
import { errorMessage } from '../../core/caught-error.ts';
import { unattended } from '../../core/last-handler/unattended.ts';
import { membersOf, parseJson } from '../../core/json/json-value.ts';
import { backUpEmbedded } from '../../subgraphs/experiments/clickhouse/metrics-backup.ts';
import { embeddedMetricsPath, type MetricsStore } from '../../subgraphs/shared/stores/metrics-store.ts';
import type { Lifecycle } from '../process/lifecycle.ts';

/** The most bytes of a socket's path that all systems take (sockaddr_un). */
const MAX_PATH_BYTES = 100;

/** Gives the path of the data folder's socket. A folder with a long path has it among the temporary files. */
function localSocketPath(dataDir: string): string {
  const path = join(resolve(dataDir), 'local.socket');
  if (Buffer.byteLength(path) <= MAX_PATH_BYTES) return path;
  const name = createHash('sha256').update(path).digest('hex').slice(0, 32);
  return join(tmpdir(), `fleetflag-${name}.socket`);
}

/** Serves the data folder's socket until the lifecycle closes. */
export async function serveLocalSocket(dataDir: string, metrics: MetricsStore, lifecycle: Lifecycle): Promise<void> {
  const path = localSocketPath(dataDir);
  const server = createServer((incoming, answer) =>
    unattended(answerWith(incoming, answer, dataDir, metrics), 'Answering a command of this machine'),
  );
  // A process that was killed leaves its socket. No other process serves it, because this one has the store open.
  await rm(path, { force: true });
  await new Promise<void>((listening, failed) => {
    server.once('error', failed);
    server.listen(path, listening);
  });
  await chmod(path, 0o600);
  server.unref();
  lifecycle.onClose(
    () =>
      new Promise<void>((closed) => {
        server.close(() => closed());
        server.closeIdleConnections();
      }),
  );
}

async function answerWith(
  incoming: IncomingMessage,
  answer: ServerResponse,
  dataDir: string,
  metrics: MetricsStore,
): Promise<void> {
  const say = (status: number, body: object) =>
    answer.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
  if (incoming.method !== 'POST' || incoming.url !== '/metrics-backup') return void say(404, { error: 'Not found.' });
  try {
    say(200, { folder: await backUpEmbedded(metrics.client, embeddedMetricsPath(dataDir)) });
  } catch (error) {
    say(500, { error: errorMessage(error) });
  }
}

/**
 * Asks the process that serves the data folder to back up its metrics store. Gives the folder of the backup, which the
 * caller has to remove; null where no process serves the folder.
 *
 * @throws Error with what that process said
 */
export async function askForMetricsBackup(dataDir: string): Promise<string | null> {
  const socketPath = localSocketPath(dataDir);
  const [socket, folder] = await Promise.all([statOrNull(socketPath), statOrNull(dataDir)]);
  // Among the temporary files, anybody can make a socket of that name.
  if (socket === null || socket.uid !== folder?.uid) return null;
  const response = await new Promise<IncomingMessage | null>((answered, failed) => {
    request({ socketPath, path: '/metrics-backup', method: 'POST' }, answered)
      .on('error', (error: NodeJS.ErrnoException) =>
        error.code === 'ECONNREFUSED' || error.code === 'ENOENT' ? answered(null) : failed(error),
      )
      .end();
  });
  if (response === null) return null;
  const body = membersOf(parseJson(await text(response)));
  if (typeof body['folder'] === 'string') return body['folder'];
  throw new Error(`The control plane could not back up its metrics store: ${String(body['error'])}`);
}

const statOrNull = (path: string) =>
  stat(path).then(
    (found) => found,
    () => null,
  );
