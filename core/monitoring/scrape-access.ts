/** Access to `/metrics`. The metrics reveal the size of the fleet and the health of the service. */
import { createHash, timingSafeEqual } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { isIP } from 'node:net';
import { hostname } from 'node:os';
import { FleetFlagError } from '../errors.ts';
import { isLoopback } from '../wire/network/loopback.ts';
import type { FailedCredentials } from '../credentials/failed-credentials.ts';

/** The header fields that show that a proxy has forwarded the request. */
const FORWARDING_HEADERS = ['forwarded', 'x-forwarded-for', 'x-real-ip', 'via'];

/**
 * Says whether the Host of a request is a name of this machine. This refuses DNS rebinding: a page whose name resolves
 * to this machine reaches it from a browser here, but its requests carry that name.
 */
function namesThisMachine({ headers: { host = '' } }: IncomingMessage): boolean {
  const name = host.replace(/:\d*$/, '').replace(/^\[(.*)\]$/, '$1');
  return isLoopback(name) || isIP(name) !== 0 || name.toLowerCase() === hostname().toLowerCase();
}

/**
 * Resolves where the request may read the metrics. With a configured token, every request that sends it
 * (`Authorization: Bearer …`) may. Without one, only requests from this machine may, under a name of this machine and
 * not through a proxy.
 *
 * @param address the address of the client; null where the connection is gone
 * @param token the configured token; null for none
 * @throws FleetFlagError UNAUTHENTICATED, FORBIDDEN, or RATE_LIMITED after too many wrong tokens from the address
 */
export async function checkScrape(
  request: IncomingMessage,
  address: string | null,
  token: string | null,
  failures: FailedCredentials,
): Promise<void> {
  if (token === null) {
    if (
      FORWARDING_HEADERS.some((name) => request.headers[name] !== undefined) ||
      address === null ||
      !isLoopback(address)
    ) {
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
  const hash = digest(shown);
  const found = await failures.lookUp(address, `metrics:${hash.toString('hex')}`, async () =>
    timingSafeEqual(hash, digest(token)) ? true : null,
  );
  if (found === null)
    throw new FleetFlagError(
      'UNAUTHENTICATED',
      'The metrics token is wrong: send the value of FLEETFLAG_METRICS_TOKEN.',
    );
}

/** Gives the digest of a token. Comparing digests of equal length takes the same time, whichever character is wrong. */
const digest = (text: string) => createHash('sha256').update(text).digest();
