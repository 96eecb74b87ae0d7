/**
 * The agent as a process: `fleetflag-agent …`, or `npm run agent -- …`. Exit codes: 0 stopped, 1 it cannot listen or
 * another agent has its database, 2 wrong settings.
 */
import { collectGarbage, keepSmall } from './process-memory.ts';
import { ConfigurationError, readConfiguration, type AgentConfiguration } from './configuration.ts';
import { FleetFlagAgent } from './fleet-flag-agent.ts';
import { LocalServer } from './api/local-server.ts';
import { createLog, describeError } from './log.ts';

async function configuration(): Promise<AgentConfiguration> {
  try {
    return await readConfiguration(process.argv.slice(2));
  } catch (error) {
    if (!(error instanceof ConfigurationError)) throw error;
    process.stderr.write(`${error.message}\n`);
    process.exit(2);
  }
}

/** A function and not the module's own top level: the package's bundle is CommonJS, which cannot await there. */
async function run(): Promise<void> {
  const settings = await configuration();
  const log = createLog(settings.logFormat);
  const agent = new FleetFlagAgent({
    url: settings.url,
    tokenFile: settings.tokenFile,
    databaseFile: settings.databaseFile,
    keys: settings.keys,
    ca: settings.ca,
    proxy: settings.proxy,
    vehicle: settings.vehicle,
    timings: { resyncMs: settings.resyncMs, metricsIntervalMs: settings.metricsIntervalMs },
    log,
    afterWrite: collectGarbage,
  });
  const server = settings.listen === null ? null : new LocalServer({ ...settings.listen, agent });

  // The agent's own timers hold no process; this one holds this process until it is told to stop.
  const alive = setInterval(() => undefined, 2 ** 30);
  keepSmall();

  let stopping = false;
  async function stop(signal: string): Promise<void> {
    if (stopping) return;
    stopping = true;
    log('info', `stopping on ${signal}`);
    clearInterval(alive);
    await server?.close();
    await agent.close();
    process.exit(0);
  }
  process.on('SIGINT', (signal) => void stop(signal));
  process.on('SIGTERM', (signal) => void stop(signal));
  // A terminal that is closed stops the agent as Ctrl-C does.
  process.on('SIGHUP', (signal) => void stop(signal));

  void agent.ready().then(() => {
    const { evaluatedRevision, flags } = agent.status();
    process.stdout.write(`FleetFlag agent ready: revision ${evaluatedRevision}, ${flags} flags\n`);
  });
  try {
    await agent.start();
  } catch (error) {
    log('error', `the agent cannot start: ${describeError(error)}`);
    await agent.close();
    process.exit(1);
  }
  try {
    if (server !== null) log('info', `listening on ${await server.listen()}`);
  } catch (error) {
    log('error', `cannot listen on ${settings.listen!.host}:${settings.listen!.port}: ${describeError(error)}`);
    await agent.close();
    process.exit(1);
  }
}

void run();
