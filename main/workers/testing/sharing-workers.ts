/**
 * Two gateways under test on one port, in worker processes whose primary process lends them places as that of a
 * deployment does. Each prints a line of JSON: a worker its URL, the primary process the pools of which something is
 * lent, on each line that it reads.
 */
import cluster, { type Worker } from 'node:cluster';
import { createInterface } from 'node:readline';
import { gatewayUnderTest } from '../../../gateway/transports/websocket/testing/gateway-under-test.ts';
import { PlacePools, limitsOverChannel, offerPlaces } from '../place-pools.ts';
import { ProcessChannel } from '../process-channel.ts';
import { workerEnd } from '../worker-end.ts';

const WORKERS = 2;
const print = (line: object) => void process.stdout.write(`${JSON.stringify(line)}\n`);

if (cluster.isPrimary) {
  cluster.schedulingPolicy = cluster.SCHED_NONE;
  const pools = new PlacePools<Worker>();
  for (let n = 0; n < WORKERS; n++) {
    const worker = cluster.fork();
    const channel = new ProcessChannel(worker, offerPlaces(pools, worker));
    void workerEnd(worker).then(() => {
      pools.end(worker);
      channel.close();
    });
  }
  createInterface({ input: process.stdin }).on('line', () => print({ pools: pools.size }));
} else {
  const channel = new ProcessChannel(
    { send: (message) => process.send?.(message), on: (event, listener) => process.on(event, listener) },
    {},
  );
  const { url } = await gatewayUnderTest({
    sharedLimits: limitsOverChannel(channel, WORKERS),
    limits: { maxSocketsPerAddress: Number(process.env['SOCKETS']), connectionInitTimeoutMs: 60_000 },
  });
  print({ url, pid: process.pid });
}
