/** A process with a gateway under test; prints its URL, and warnings and errors from then on. */
import { gatewayUnderTest } from './gateway-under-test.ts';

const gateway = await gatewayUnderTest({
  // The handshakes of a test may take their time.
  limits: { connectionInitTimeoutMs: 60_000 },
  logger: {
    info: () => undefined,
    warn: (_, message) => console.log(message),
    error: (_, message) => console.log(message),
  },
});
console.log(gateway.url);
