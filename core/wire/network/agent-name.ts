/**
 * The beginning of the agent's `User-Agent` (RFC 9110, section 10.1.5). A client with this name comes back after a
 * refused handshake when `Retry-After` says; a stock graphql-ws client takes a refused handshake for the end, and a
 * close code for a reason to come back.
 */
export const AGENT_NAME = 'FleetFlag-Agent';
