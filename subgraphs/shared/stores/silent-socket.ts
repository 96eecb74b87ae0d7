/**
 * Closes the connections of a server that has disappeared without closing them: its host has failed, another server has
 * taken its name, a firewall has forgotten the connection. The operating system would keep the caller waiting for a
 * quarter of an hour or longer, and with it all that wait for the caller, such as the changes that vehicles receive.
 */
import { Socket } from 'node:net';

/** The number of checks within the silence. */
const CHECKS = 8;

/**
 * Closes a socket on which an answer is due and nothing has arrived for `silenceMs`, or up to an eighth of it less.
 *
 * @param socket anything else than a socket of the operating system is left alone
 * @param silenceMs milliseconds; longer than a living server is silent while it works on an answer
 * @param isAnswerDue says whether an answer is due now: a connection that waits for its next request is silent as well
 */
export function closeWhenSilent(socket: unknown, silenceMs: number, isAnswerDue: () => boolean): void {
  if (!(socket instanceof Socket)) return;
  let heard = { bytes: 0, atMs: performance.now() };
  let checkedAtMs = heard.atMs;
  const check = () => {
    const now = { bytes: socket.bytesRead, atMs: performance.now() };
    // A process that did not run, as on a machine that was suspended, could not have heard anything.
    const isLate = now.atMs - checkedAtMs > (2 * silenceMs) / CHECKS;
    checkedAtMs = now.atMs;
    // Requests that are still sent say nothing about the server, so the timeout of the socket itself would not do.
    if (isLate || now.bytes !== heard.bytes || !isAnswerDue()) heard = now;
    else if (now.atMs - heard.atMs >= silenceMs)
      socket.destroy(new Error(`Connection terminated: the server has been silent for ${silenceMs / 1_000} s`));
  };
  // An answer that came while this process was busy is read before the check.
  const timer = setInterval(() => setImmediate(check), silenceMs / CHECKS).unref();
  socket.once('close', () => clearInterval(timer));
}
