/**
 * One line for each thing worth knowing, on stderr: stdout belongs to what the command answers.
 */
import fs from 'node:fs';
import { LineSink } from '../core/log/line-sink.ts';
import { errorCode } from '../core/caught-error.ts';

export type LogLevel = 'info' | 'warn' | 'error';
export const LOG_FORMATS = ['plain', 'json'] as const;
export type LogFormat = (typeof LOG_FORMATS)[number];
export type LogFields = Readonly<Record<string, string | number | boolean | null>>;

/** Writes one line; `message` is for people, `fields` are for machines. */
export type Log = (level: LogLevel, message: string, fields?: LogFields) => void;

/** What may wait in memory for a reader that does not read: little, beside the agent's 64 MB. */
const MAX_WAITING_BYTES = 65_536;

/** Lines of text on stdout and stderr: neither blocks or ends the agent, whatever becomes of the disk or the reader. */
export const stdout = new LineSink(1, process.stdout, fs, MAX_WAITING_BYTES);
export const stderr = new LineSink(2, process.stderr, fs, MAX_WAITING_BYTES);

/**
 * A log on stderr, as plain text or one JSON object a line. The first line that gets through after a loss says how many
 * were lost.
 */
export function createLog(format: LogFormat): Log {
  const log: Log = (level, message, fields = {}) => {
    const time = new Date().toISOString();
    const line =
      format === 'json'
        ? JSON.stringify({ time, level, message, ...fields })
        : [
            time,
            level.padEnd(5),
            message,
            ...Object.entries(fields).map(([name, value]) => `${name}=${String(value)}`),
          ].join(' ');
    const lost = stderr.write(`${line}\n`) ? stderr.takeUntold() : 0;
    if (lost > 0) log('warn', 'log lines were lost: what stderr is written to was full, or nobody read it', { lost });
  };
  return log;
}

/** What went wrong, in one line, causes included; never a stack. */
export function describeError(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  // A refused connection to several addresses is an AggregateError without a message.
  const own = error.message || errorCode(error) || error.name;
  return error.cause === undefined ? own : `${own} (${describeError(error.cause)})`;
}
