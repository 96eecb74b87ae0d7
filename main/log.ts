/**
 * What the commands print: the log on stderr, and on stdout only what people and scripts wait for. Neither blocks or
 * ends the process, whatever becomes of the disk or the reader behind it (core/log/line-sink.ts).
 */
import fs from 'node:fs';
import { pino, type Logger } from 'pino';
import { LineSink } from '../core/log/line-sink.ts';
import type { Configuration } from './configuration.ts';

const MAX_WAITING_BYTES = 1_048_576;

/** Lines of text on stdout and stderr. */
export const stdout = new LineSink(1, process.stdout, fs, MAX_WAITING_BYTES);
export const stderr = new LineSink(2, process.stderr, fs, MAX_WAITING_BYTES);

/** Prints one line for people and scripts. */
export function say(line: string): void {
  stdout.write(`${line}\n`);
}

/** Prints why a command ends. */
export function complain(line: string): void {
  stderr.write(`${line}\n`);
}

/** A logger that writes JSON lines to stderr. The first line that gets through after a loss says how many were lost. */
export function createLogger(level: Configuration['logLevel']): Logger {
  const logger: Logger = pino(
    {
      level,
      base: undefined,
      redact: ['password', '*.password', 'token', '*.token', 'authorization', '*.authorization'],
    },
    {
      write(line: string) {
        const lost = stderr.write(line) ? stderr.takeUntold() : 0;
        if (lost > 0)
          logger.warn({ lost }, 'Log lines were lost: what stderr is written to was full, or nobody read it');
      },
    },
  );
  return logger;
}
