/**
 * Decides which upgrade requests become websockets: those for `/graphql`, from programs and from pages that may call.
 */
import type { IncomingHttpHeaders, Server } from 'node:http';
import { requestIdOf } from '../../../../core/wire/network/request-id.ts';
import type { GatewayLogger } from '../../../context.ts';
import { refuseUpgrade } from './refuse-upgrade.ts';
import type { SubscriptionServer } from '../subscription-server.ts';

/** The most refused origins that are logged, each once. A client can send any origin, so the number needs a limit. */
const LOGGED_ORIGINS = 100;

/**
 * Hands upgrades of `server` to `subscriptions`.
 *
 * @param pages says by the header fields of a request whether it may come from a page
 */
export function serveUpgrades(
  server: Server,
  subscriptions: Pick<SubscriptionServer, 'handleUpgrade'>,
  pages: { admits(headers: IncomingHttpHeaders): boolean },
  logger: GatewayLogger,
): void {
  const refusedPages = new Set<string>();
  server.on('upgrade', (request, socket, head) => {
    // The URL class would throw on some targets that clients may send (`//`), and nothing would catch that here.
    if (request.url?.split('?', 1)[0] !== '/graphql') return refuseUpgrade(socket, '404 Not Found');
    if (pages.admits(request.headers)) return subscriptions.handleUpgrade(request, socket, head);
    const { origin = '', host } = request.headers;
    const requestId = requestIdOf(request.headers);
    // A browser gives its page no reason, so the log must.
    if (refusedPages.size < LOGGED_ORIGINS && !refusedPages.has(origin)) {
      refusedPages.add(origin);
      logger.warn(
        { origin, host, requestId },
        'Refused a websocket to a page of another origin; to allow it, add the origin to FLEETFLAG_ALLOWED_ORIGINS',
      );
    }
    refuseUpgrade(
      socket,
      '403 Forbidden',
      'Pages of this origin may not call the gateway: it is not in FLEETFLAG_ALLOWED_ORIGINS.',
      `X-Request-Id: ${requestId}\r\n`,
    );
  });
}
