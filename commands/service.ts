/** `npm run service -- gateway|flags|vehicles|experiments|audit`: starts one role of a distributed deployment. */
import cluster from 'node:cluster';
import { SUBGRAPH_NAMES } from '../core/wire/subgraph/subgraph.ts';
import { complain } from '../main/process/log.ts';
import { runUntilStopped } from '../main/process/process.ts';
import { WORKERS_USAGE, readPlainArguments, readWorkers } from './command-line.ts';

const USAGE = `Usage: npm run service -- gateway|${SUBGRAPH_NAMES.join('|')} [--workers N]

Starts one role of a distributed deployment. All settings are environment variables: docs/operations/configuration.md.

${WORKERS_USAGE} (gateway only)
  --help, --version`;

const args = readPlainArguments(USAGE, { valued: ['--workers'], most: 1 });
const workers = readWorkers(USAGE);
const [role] = args;
const subgraph = SUBGRAPH_NAMES.find((name) => name === role);
// Each role loads what it needs and no more: a gateway takes half the memory of a subgraph.
if (role === 'gateway') {
  const start = cluster.isWorker
    ? (await import('../main/workers/gateway-worker.ts')).startGatewayWorker
    : (await import('../main/gateway-service.ts')).startGatewayService;
  await runUntilStopped({ role }, (configuration, logger, metrics) =>
    start(configuration, logger, metrics, workers ?? 1),
  );
} else if (subgraph !== undefined && workers === null) {
  const { startSubgraphService } = await import('../main/subgraph-service.ts');
  await runUntilStopped({ role: subgraph }, (configuration, logger, metrics) =>
    startSubgraphService(subgraph, configuration, logger, metrics),
  );
} else {
  const fault =
    subgraph !== undefined
      ? 'Only the gateway has workers; start another process of a subgraph instead.'
      : role === undefined
        ? 'A role is missing.'
        : `Unknown role "${role}".`;
  complain(`${fault}\n\n${USAGE}`);
  process.exitCode = 2;
}
