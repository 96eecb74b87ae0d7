/**
 * Runs the agent as a process: `fleetflag-agent …`, or `npm run agent -- …`. Exit codes: 0 it was stopped; 1 it cannot
 * listen, another agent has its database, or an exception was not caught; 2 the settings are wrong.
 */
import { unattended } from '../../core/last-handler/unattended.ts';
import { UNFORESEEN, processGoesOn } from '../../core/last-handler/unforeseen.ts';
import { collectGarbage, keepProcessSmall } from './process-memory.ts';
import { AgentConfigurationError, USAGE, readAgentConfiguration, type AgentConfiguration } from './configuration.ts';
import { FleetFlagAgent } from '../assembly/fleet-flag-agent.ts';
import { LocalServer } from '../api/local-server.ts';
import { AGENT_VERSION } from '../version.ts';
import { createLog, describeError, stderr, stdout } from '../log.ts';

/** The time after which a process that does not stop is killed. */
const STOP_TIMEOUT_MS = 10_000;

async function configuration(): Promise<AgentConfiguration> {
  try {
    return await readAgentConfiguration(process.argv.slice(2));
  } catch (error) {
    if (!(error instanceof AgentConfigurationError)) throw error;
    stderr.write(`${error.message}\n`);
    process.exit(2);
  }
}

/** Runs the agent. It is a function because the bundle is CommonJS, which has no top-level await. */
async function run(): Promise<void> {
  const args = process.argv.slice(2);
  if (args.includes('--help') || args.includes('-h')) return void stdout.write(`${USAGE}\n`);
  if (args.includes('--version')) return void stdout.write(`${AGENT_VERSION}\n`);
  const settings = await configuration();
  const log = createLog(settings.logFormat);
  for (const warning of settings.warnings) log('warn', warning);
  const agent = new FleetFlagAgent({
    ...(settings.url !== undefined && { url: settings.url }),
    ...(settings.tokenFile !== undefined && { tokenFile: settings.tokenFile }),
    ...(settings.databaseFile !== undefined && { databaseFile: settings.databaseFile }),
    flagsFile: settings.flagsFile,
    allowOverrides: settings.allowOverrides,
    vin: settings.vin,
    keys: settings.keys,
    ca: settings.ca,
    proxy: settings.proxy,
    vehicle: settings.vehicle,
    timings: { resyncMs: settings.resyncMs, metricsIntervalMs: settings.metricsIntervalMs },
    log,
    afterWrite: collectGarbage,
    lostLogLines: () => stderr.lost,
    ...(settings.evaluationEventsPerSecond > 0 && {
      evaluationEvents: {
        emit: ({ eventName, attributes }) => log('info', eventName, attributes),
        maxPerSecond: settings.evaluationEventsPerSecond,
      },
    }),
  });
  const server =
    settings.listen === null
      ? null
      : new LocalServer({ ...settings.listen, agent, allowedOrigins: settings.allowedOrigins, log });

  // The agent's own timers do not keep a process alive. This one does, until the process is to stop.
  const alive = setInterval(() => undefined, 2 ** 30);
  keepProcessSmall();

  let stopping = false;
  async function stop(why: string, exitCode: number): Promise<void> {
    if (stopping) return;
    stopping = true;
    log('info', `stopping on ${why}`);
    clearInterval(alive);
    // A disk that does not answer blocks a thread, and with it every regular end, even that of process.exit.
    setTimeout(() => {
      log('error', `stopping has taken more than ${STOP_TIMEOUT_MS / 1000} s; killing this process`);
      process.kill(process.pid, 'SIGKILL');
    }, STOP_TIMEOUT_MS).unref();
    await server?.close();
    await agent.close();
    process.exit(exitCode);
  }
  // Closing the terminal stops the agent, as Ctrl-C does.
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
    process.on(signal, () => unattended(stop(signal, 0), 'Stopping'));
  for (const kind of UNFORESEEN) {
    process.on(kind, (error: unknown) => {
      const goesOn = processGoesOn(kind, error);
      log(
        'error',
        `unhandled failure (${kind}); ${goesOn ? 'the agent goes on' : 'the agent stops'}: ${describeError(error)}`,
      );
      if (goesOn) return;
      // The supervisor of the process (systemd, a container engine) restarts it.
      unattended(stop('an exception', 1), 'Stopping');
    });
  }

  const readyLine = agent.ready().then(() => {
    const { evaluatedRevision, flags } = agent.status();
    stdout.write(`FleetFlag agent ready: revision ${evaluatedRevision}, ${flags} flags\n`);
  });
  unattended(readyLine, 'Printing that the agent is ready');
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

run().catch((error: unknown) => {
  stderr.write(`The agent cannot start: ${describeError(error)}\n`);
  process.exit(1);
});
