/**
 * The response header by which a subgraph's process that is about to stop says so: it still answers, and gateways send
 * what comes next to another instance.
 */
export const DRAINING_HEADER = 'fleetflag-draining';
