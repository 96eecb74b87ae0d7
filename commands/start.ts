/** `npm start`: starts the whole control plane in one process, or with several gateway processes on one port. */
import cluster from 'node:cluster';
import { runUntilStopped } from '../main/process/process.ts';
import { WORKERS_USAGE, readPlainArguments, readWorkers } from './command-line.ts';

const USAGE = `Usage: npm start [-- --workers N]

Starts the whole control plane. All settings are environment variables: docs/operations/configuration.md.

${WORKERS_USAGE}
  --help, --version`;

readPlainArguments(USAGE, { valued: ['--workers'] });
const workers = readWorkers(USAGE) ?? 1;
// A worker is a gateway and nothing else, so it loads no more than that.
const start = cluster.isWorker
  ? (await import('../main/workers/gateway-worker.ts')).startGatewayWorker
  : (await import('../main/control-plane.ts')).startControlPlane;
await runUntilStopped({}, (configuration, logger, metrics) => start(configuration, logger, metrics, workers));
