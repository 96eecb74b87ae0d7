/**
 * The log: one line for each event, on stderr, because stdout is for the output of commands.
 */
import fs from 'node:fs';
import { LineSink } from '../core/log/line-sink.ts';
import { errorCode } from '../core/caught-error.ts';

/** The severity of a line. */
export type LogLevel = 'info' | 'warn' | 'error';
export const LOG_FORMATS = ['plain', 'json'] as const;
/** The format of the log's lines. */
export type LogFormat = (typeof LOG_FORMATS)[number];
/** The fields of a line, for machines. */
export type LogFields = Readonly<Record<string, string | number | boolean | null>>;

/** Writes one line; `message` is for people, `fields` are for machines. */
export type Log = (level: LogLevel, message: string, fields?: LogFields) => void;

/** The bytes that may wait in memory for a slow reader; they are few beside the agent's 64 MB. */
const MAX_WAITING_BYTES = 65_536;

/** The sinks of lines on stdout and stderr. A full disk or an absent reader neither blocks nor ends the agent. */
export const stdout = new LineSink(1, process.stdout, fs, MAX_WAITING_BYTES);
export const stderr = new LineSink(2, process.stderr, fs, MAX_WAITING_BYTES);

/**
 * Makes a log on stderr, as plain text or with one JSON object a line. The first line after a loss says how many lines
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
    const lost = stderr.write(`${line}\n`) ? stderr.takeUnreported() : 0;
    if (lost > 0) log('warn', 'log lines were lost: the disk or pipe behind stderr was full', { lost });
  };
  return log;
}

/** Describes an error in one line, with its causes and without a stack. */
export function describeError(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  // When all addresses of a host refuse the connection, the error is an AggregateError without a message.
  const own = error.message || errorCode(error) || error.name;
  return error.cause === undefined ? own : `${own} (${describeError(error.cause)})`;
}
