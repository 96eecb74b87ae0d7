/** The unexpected failure of work that nobody waits for, as it reaches the process' last handler. */
class UnattendedFailure extends Error {
  override readonly name = 'UnattendedFailure';
}

/**
 * Leaves work running that nobody waits for. The work handles the failures that it expects. Any other failure goes to
 * the process' last handler (unhandledRejection), which logs it with the name of the work and counts it.
 *
 * @param what the name of the work in the log, such as "The sweep of presence"
 */
export function unattended(work: Promise<unknown>, what: string): void {
  work.catch((cause: unknown) => {
    throw new UnattendedFailure(`${what} failed in the background.`, { cause });
  });
}
