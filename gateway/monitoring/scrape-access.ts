/** Who may read `/metrics`: they tell how many vehicles there are, and how the service is doing. */
import { createHash, timingSafeEqual } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { isIP } from 'node:net';
import { hostname } from 'node:os';
import { FleetFlagError } from '../../core/errors.ts';
import { isLoopback } from '../../core/wire/loopback.ts';
import type { FailedCredentials } from '../credentials/failed-credentials.ts';

/** What a proxy adds. */
const PASSED_ON = ['forwarded', 'x-forwarded-for', 'x-real-ip', 'via'];

/**
 * Whether a request names this machine. A page can have a name of its own lead here (DNS rebinding), and the browser
 * that shows it is on this machine; but its requests carry that name, which is no address and none of ours.
 */
function namesThisMachine({ headers: { host = '' } }: IncomingMessage): boolean {
  const name = host.replace(/:\d*$/, '').replace(/^\[(.*)\]$/, '$1');
  return isLoopback(name) || isIP(name) !== 0 || name.toLowerCase() === hostname().toLowerCase();
}

/**
 * Resolves where the request may be answered. With a token, whoever sends it (`Authorization: Bearer …`) may; without
 * one, this machine itself under a name of its own, and nobody for whom it passes something on.
 *
 * @param address of whoever asks (http/request-origin.ts): with none of those headers, the peer's own
 * Rejects with UNAUTHENTICATED, FORBIDDEN, or, after too many wrong tokens from the address, RATE_LIMITED.
 */
export async function checkScrape(
  request: IncomingMessage,
  address: string | null,
  token: string | null,
  failures: FailedCredentials,
): Promise<void> {
  if (token === null) {
    if (PASSED_ON.some((name) => request.headers[name] !== undefined) || address === null || !isLoopback(address)) {
      throw new FleetFlagError(
        'FORBIDDEN',
        'Without FLEETFLAG_METRICS_TOKEN, metrics can be read only from this machine.',
      );
    }
    if (!namesThisMachine(request)) {
      throw new FleetFlagError(
        'FORBIDDEN',
        'Without FLEETFLAG_METRICS_TOKEN, metrics can be read only under localhost, an IP address or the name of this machine.',
      );
    }
    return;
  }
  const [, shown] = /^Bearer +(\S+) *$/i.exec(request.headers.authorization ?? '') ?? [];
  if (shown === undefined)
    throw new FleetFlagError('UNAUTHENTICATED', 'Metrics require a token: send Authorization: Bearer ….');
  const found = await failures.lookUp(address, `metrics:${shown}`, async () => (isSame(shown, token) ? true : null));
  if (found === null)
    throw new FleetFlagError(
      'UNAUTHENTICATED',
      'The metrics token is wrong: send the value of FLEETFLAG_METRICS_TOKEN.',
    );
}

const digest = (text: string) => createHash('sha256').update(text).digest();

/** In the same time, whichever character is wrong. */
function isSame(one: string, other: string): boolean {
  return timingSafeEqual(digest(one), digest(other));
}
