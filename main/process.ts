/** The common parts of all long-running commands: settings, log, signals, exit codes. */
import cluster from 'node:cluster';
import { once } from 'node:events';
import { createServer } from 'node:net';
import type { Logger } from 'pino';
import { ConfigurationError, readConfiguration, type Configuration, type ReadOptions } from './configuration.ts';
import { LastHandler, type UnforeseenCounts } from './last-handler.ts';
import { complain, createLogger } from './log.ts';
import { errorCode } from '../core/caught-error.ts';

/** Formats a failure that an operator can resolve: one message, no stack. */
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
const ENDING = 20_000;

/**
 * Runs a command until SIGINT or SIGTERM: `start` opens everything and gives the function that closes it. Exit codes: 0
 * after an orderly stop, 1 after a failure (including an uncaught exception: last-handler.ts), 2 for wrong settings.
 *
 * @param start receives the last handler's counts, for Prometheus
 */
export async function runUntilStopped(
  options: ReadOptions,
  start: (
    configuration: Configuration,
    logger: Logger,
    unforeseen: () => UnforeseenCounts,
  ) => Promise<{ close(): Promise<void> }>,
): Promise<void> {
  let running: { close(): Promise<void> } | undefined;
  let stopping: Promise<void> | undefined;
  let stopRequested = false;
  let exitCode = 0;

  const stop = () => {
    stopRequested = true;
    if (running === undefined) return;
    stopping ??= running.close().then(
      () => process.exit(exitCode),
      (error: unknown) => {
        complain(explain(error, 'could not stop in order'));
        process.exit(1);
      },
    );
  };
  const fail = () => {
    exitCode = 1;
    setTimeout(() => process.exit(1), ENDING).unref();
    stop();
  };
  // A second Ctrl-C while stopping has no effect: an early exit would leave processes behind.
  process.on('SIGINT', stop);
  process.on('SIGTERM', stop);
  // The terminal was closed.
  process.on('SIGHUP', stop);

  try {
    const configuration = readConfiguration(undefined, options);
    const logger = createLogger(configuration.logLevel);
    const lastHandler = new LastHandler({ log: logger, end: fail });
    lastHandler.listen(process);
    // A worker shares settings and port with the primary process, which has checked both.
    if (cluster.isPrimary) {
      for (const warning of configuration.warnings) logger.warn(warning);
      await refuseTakenPort(configuration);
    }
    running = await start(configuration, logger, () => lastHandler.counts);
    // The process was asked to stop while it was starting, so it closes what it has just opened.
    if (stopRequested) stop();
  } catch (error) {
    complain(error instanceof ConfigurationError ? error.message : explain(error));
    process.exit(error instanceof ConfigurationError ? 2 : 1);
  }
}

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
