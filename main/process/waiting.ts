/** Notices of a start that takes long: they say what it waits for, so that nobody has to guess whether it hangs. */
import type { Logger } from 'pino';

/** Milliseconds until the first notice: longer than any step takes on a quiet machine. */
const FIRST_MS = 5_000;
/** Milliseconds between two notices. */
const EVERY_MS = 15_000;

/**
 * Runs a step of the start, and says in the log what is waited for, and for how long already, while it takes long.
 *
 * @param what the thing, with its place, such as `PostgreSQL at db:5432`; never with a secret
 */
export async function whileWaiting<Result>(
  logger: Pick<Logger, 'info'>,
  what: string,
  step: () => Promise<Result>,
): Promise<Result> {
  const began = performance.now();
  const say = () => {
    const seconds = Math.round((performance.now() - began) / 1_000);
    logger.info({ seconds }, `Starting: it waits for ${what}`);
    timer = setTimeout(say, EVERY_MS);
  };
  let timer = setTimeout(say, FIRST_MS);
  try {
    return await step();
  } finally {
    clearTimeout(timer);
  }
}

/** Gives the place of a server without the account and the password of its URL. */
export function placeOf(url: string): string {
  const { hostname, port, pathname } = new URL(url);
  return `${hostname}${port === '' ? '' : `:${port}`}${pathname === '/' ? '' : pathname}`;
}
