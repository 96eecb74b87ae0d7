/**
 * One line for each thing worth knowing, on stderr: stdout belongs to what the command answers.
 */
export type LogLevel = 'info' | 'warn' | 'error';
export type LogFormat = 'plain' | 'json';
export type LogFields = Readonly<Record<string, string | number | boolean | null>>;

/** Writes one line; `message` is for people, `fields` are for machines. */
export type Log = (level: LogLevel, message: string, fields?: LogFields) => void;

/** A log on stderr, as plain text or one JSON object a line. */
export function createLog(format: LogFormat): Log {
  return (level, message, fields = {}) => {
    const time = new Date().toISOString();
    const line =
      format === 'json'
        ? JSON.stringify({ time, level, message, ...fields })
        : [time, level.padEnd(5), message, ...Object.entries(fields).map(([name, value]) => `${name}=${String(value)}`)].join(' ');
    process.stderr.write(`${line}\n`);
  };
}

/** What went wrong, in one line, causes included; never a stack. */
export function describeError(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  // A refused connection to several addresses is an AggregateError without a message.
  const own = error.message || (error as NodeJS.ErrnoException).code || error.name;
  return error.cause === undefined ? own : `${own} (${describeError(error.cause)})`;
}
