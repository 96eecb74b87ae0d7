/** Work failed that nobody waits for, in a way that it does not expect. It reaches the process' last handler. */
export class UnattendedFailure extends Error {
  override readonly name = 'UnattendedFailure';
}

/**
 * Lets work go on that nobody waits for. Such work handles its own failures; one that it does not foresee is left to
 * the process' last handler (unhandledRejection), which logs it under this name and counts it.
 *
 * @param what names the work in the log, such as "The sweep of presence"
 */
export function unattended(work: Promise<unknown>, what: string): void {
  work.catch((cause: unknown) => {
    throw new UnattendedFailure(`${what} failed in the background.`, { cause });
  });
}
