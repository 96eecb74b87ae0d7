/**
 * The playground at `/`: GraphiQL from its package, with a bar to sign in with. It loads nothing from other hosts.
 */
import { readFileSync } from 'node:fs';
import { renderGraphiQL } from '@graphql-yoga/render-graphiql';

const file = (name: string) => readFileSync(new URL(name, import.meta.url), 'utf8');

/** A placeholder in the page's options: they are JSON, so a function replaces it afterwards. */
const CONNECTION_PARAMS = 'FLEETFLAG_CONNECTION_PARAMS';

const DEFAULT_QUERY = `# Sign in above, then run this. Ctrl-Space completes; the book icon on the left opens the documentation.
query Flags {
  flags {
    totalCount
    nodes { key name enabled killed safetyLevel environment revision }
  }
}

# Stop a feature in every vehicle, at once:
#   mutation { killSwitch(flagKey: "…", reason: "…") { flag { killed revision } } }
# Watch changes as the fleet receives them:
#   subscription { flagChanges(environment: PRODUCTION) { revision flag { key killed updatedBy { name } } } }
`;

const BAR = `<header id="fleetflag-bar">
  <strong>FleetFlag</strong>
  <span id="fleetflag-message" role="alert"></span>
  <form id="fleetflag-out">
    <input id="fleetflag-email" type="email" placeholder="E-mail" aria-label="E-mail" autocomplete="username" required>
    <input id="fleetflag-password" type="password" placeholder="Password" aria-label="Password" autocomplete="current-password" required>
    <button type="submit">Sign in</button>
  </form>
  <div id="fleetflag-in" hidden><span id="fleetflag-who"></span><button id="fleetflag-leave" type="button">Sign out</button></div>
</header>`;

/**
 * Replaces the first occurrence of `text`. Throws where there is none, so that a test (gateway/gateway.test.ts) notices
 * that a new version of the package has changed its page.
 */
function replaceOnce(page: string, text: string, replacement: string): string {
  const at = page.indexOf(text);
  if (at === -1) throw new Error(`The playground's page has no ${text}`);
  return page.slice(0, at) + replacement + page.slice(at + text.length);
}

/** Gives the page as HTML. */
export function playgroundPage(): Buffer {
  let page = renderGraphiQL({
    title: 'FleetFlag',
    endpoint: '/graphql',
    subscriptionsProtocol: 'WS',
    additionalHeaders: { 'apollo-require-preflight': 'true' },
    defaultQuery: DEFAULT_QUERY,
    connectionParams: CONNECTION_PARAMS,
  } as never);
  page = replaceOnce(page, '</style>', `${file('sign-in.css')}</style><script>${file('sign-in.js')}</script>`);
  page = replaceOnce(page, '<div id="root"></div>', `${BAR}<div id="root"></div>`);
  return Buffer.from(replaceOnce(page, `"${CONNECTION_PARAMS}"`, 'window.fleetflag.connectionParams'));
}

/** The sources from which the page may load and to which it may connect: the gateway alone (Content Security Policy Level 3). */
export const PLAYGROUND_POLICY = [
  "default-src 'none'",
  "script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:",
  'worker-src blob:',
  "style-src 'self' 'unsafe-inline'",
  'img-src data:',
  'font-src data:',
  "connect-src 'self'",
  "form-action 'self'",
  "frame-ancestors 'none'",
  "base-uri 'none'",
].join('; ');
