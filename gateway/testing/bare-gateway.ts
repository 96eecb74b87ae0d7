/** The settings of a gateway in tests that are about none of them. */
import type { GatewayOptions } from '../gateway.ts';

/** A gateway of this machine alone on a free port, without the playground, the console and introspection. */
export const BARE_GATEWAY = {
  readiness: async () => ({}),
  playground: false,
  console: null,
  introspection: false,
  trustedProxies: [],
  allowedOrigins: [],
  metricsToken: null,
  host: '127.0.0.1',
  port: 0,
} as const satisfies Partial<GatewayOptions>;
