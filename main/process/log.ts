/**
 * Output of the commands: the log on stderr, and on stdout only the lines that people and scripts wait for. A full disk
 * or a broken reader neither blocks nor ends the process (core/log/line-sink.ts).
 */
import fs from 'node:fs';
import { pino, type Logger } from 'pino';
import { LineSink } from '../../core/log/line-sink.ts';
import type { Configuration } from '../configuration.ts';

const MAX_WAITING_BYTES = 1_048_576;

/** Lines of text on stdout. */
export const stdout = new LineSink(1, process.stdout, fs, MAX_WAITING_BYTES);
/** Lines of text on stderr. */
export const stderr = new LineSink(2, process.stderr, fs, MAX_WAITING_BYTES);

/** Prints one line for people and scripts. */
export function say(line: string): void {
  stdout.write(`${line}\n`);
}

/** Prints the line that says where the gateway is. Fixed: people, scripts and deployments wait for it. */
export function sayReady(port: number): void {
  say(`FleetFlag ready at http://localhost:${port}`);
}

/** Prints the reason why a command ends. */
export function complain(line: string): void {
  stderr.write(`${line}\n`);
}

/**
 * Creates a logger that writes JSON lines to stderr. After lost lines, the first line that is written says how many
 * were lost.
 */
export function createLogger(level: Configuration['logLevel']): Logger {
  const logger: Logger = pino(
    {
      level,
      base: undefined,
      redact: ['password', '*.password', 'token', '*.token', 'authorization', '*.authorization'],
    },
    {
      write(line: string) {
        const lost = stderr.write(line) ? stderr.takeUnreported() : 0;
        if (lost > 0) logger.warn({ lost }, 'Log lines were lost: the disk or pipe behind stderr was full');
      },
    },
  );
  return logger;
}
