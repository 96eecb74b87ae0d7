/** The common parts of all long-running commands: settings, log, signals, exit codes. */
import cluster from 'node:cluster';
import { once } from 'node:events';
import { createServer } from 'node:net';
import type { Logger } from 'pino';
import { ConfigurationError, readConfiguration, type Configuration, type ReadOptions } from '../configuration.ts';
import { Metrics } from '../../core/monitoring/metrics.ts';
import { LastHandler } from './last-handler.ts';
import { Lifecycle, type Ending } from './lifecycle.ts';
import { complain, createLogger, stderr } from './log.ts';
import { withTimeout } from '../../core/async/timeout.ts';
import { errorCode } from '../../core/caught-error.ts';

/** Formats a failure for an operator: one message without a stack. `what` is the step that failed. */
function explain(error: unknown, what = 'cannot start'): string {
  if (!(error instanceof Error)) return `FleetFlag ${what}: ${String(error)}`;
  const code = errorCode(error);
  if (code === 'EADDRINUSE')
    return `FleetFlag cannot start: the port is in use (${error.message}). Stop what uses it, or set PORT to another (0 picks a free one).`;
  if (code === 'EACCES' || code === 'EADDRNOTAVAIL') return `FleetFlag ${what}: ${error.message}`;
  return `FleetFlag ${what}: ${error.message}${error.cause instanceof Error && error.cause.message !== '' ? ` (${error.cause.message})` : ''}`;
}

/**
 * Milliseconds within which a process must end after an exception, because its broken state may keep something from
 * closing.
 */
const SHUTDOWN_TIMEOUT_MS = 20_000;

/**
 * Milliseconds in which a role must end once it has announced its end: less than the 30 s after which platforms kill a
 * process without a message. A store that does not answer keeps connections from closing. The control plane on one
 * machine has no such limit, because its embedded database has to write everything.
 */
const ORDERLY_TIMEOUT_MS = 25_000;

/**
 * Runs a command until SIGINT or SIGTERM: `start` opens everything and gives the function that closes it. Exit codes: 0
 * after an orderly stop, 1 after a failure (including an uncaught exception: last-handler.ts), 2 for wrong settings.
 *
 * @param start receives the metrics of the process, with those of the last handler and of the log
 */
export async function runUntilStopped(
  options: ReadOptions,
  start: (
    configuration: Configuration,
    logger: Logger,
    metrics: Metrics,
  ) => Promise<{ close(ending?: Ending): Promise<void> }>,
): Promise<void> {
  let running: { close(ending?: Ending): Promise<void> } | undefined;
  let stopping: Promise<void> | undefined;
  let stopRequested = false;
  let exitCode = 0;
  /** The tracing. It is closed after everything else, so that the last spans are sent. */
  const traces = new Lifecycle();

  let orderlyMs = Infinity;
  const closeInTime = (opened: NonNullable<typeof running>) =>
    orderlyMs === Infinity
      ? closeAll(opened)
      : withTimeout(orderlyMs, `it has not ended within ${orderlyMs / 1_000} s; a store may not answer`, () =>
          closeAll(opened),
        );
  const closeAll = async (opened: NonNullable<typeof running>) => {
    try {
      await opened.close(exitCode === 0 ? 'announced' : 'at once');
    } finally {
      await traces.close();
    }
  };
  const stop = () => {
    stopRequested = true;
    if (running === undefined) return;
    stopping ??= closeInTime(running).then(
      () => process.exit(exitCode),
      (error: unknown) => {
        complain(explain(error, 'could not stop in order'));
        process.exit(1);
      },
    );
  };
  const fail = () => {
    exitCode = 1;
    setTimeout(() => process.exit(1), SHUTDOWN_TIMEOUT_MS).unref();
    stop();
  };
  // A second Ctrl-C while stopping has no effect: an early exit would leave processes behind.
  process.on('SIGINT', stop);
  process.on('SIGTERM', stop);
  // The terminal was closed.
  process.on('SIGHUP', stop);

  try {
    const configuration = readConfiguration(undefined, options);
    if (roleOf(options) !== 'control-plane') orderlyMs = configuration.shutdownDelayMs + ORDERLY_TIMEOUT_MS;
    const logger = createLogger(configuration.logLevel);
    const lastHandler = new LastHandler({ log: logger, end: fail });
    lastHandler.listen(process);
    // A worker shares settings and port with the primary process, which has checked both.
    if (cluster.isPrimary) {
      for (const warning of configuration.warnings) logger.warn(warning);
      await refuseTakenPort(configuration);
    }
    const metrics = new Metrics();
    metrics.watchProcess(
      () => lastHandler.counts,
      () => stderr.lost,
    );
    // OpenTelemetry is loaded only where tracing is configured.
    if (configuration.tracing !== null)
      (await import('../tracing.ts')).openTracing(configuration.tracing, roleOf(options), traces, logger);
    running = await start(configuration, logger, metrics);
    // The process was asked to stop while it was starting, so it closes what it has just opened.
    if (stopRequested) stop();
  } catch (error) {
    complain(error instanceof ConfigurationError ? error.message : explain(error));
    process.exit(error instanceof ConfigurationError ? 2 : 1);
  }
}

/** Names the process in traces. A worker is a gateway, whatever started it. */
const roleOf = ({ role = 'control-plane' }: ReadOptions) => (cluster.isWorker ? 'gateway' : role);

/**
 * Refuses a port that is taken, or an address that this machine does not have, before anything is opened or created.
 */
async function refuseTakenPort({ host, port }: Configuration): Promise<void> {
  if (port === 0) return;
  const probe = createServer().listen({ host, port, exclusive: true });
  await once(probe, 'listening');
  probe.close();
  await once(probe, 'close');
}
