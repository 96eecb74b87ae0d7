/** Runs the four subgraphs and a gateway in this process, on the stores of a test. */
import { SUBGRAPH_NAMES, type SubgraphName } from '../../core/wire/subgraph/subgraph.ts';
import type { Subgraphs } from '../../gateway/composition/supergraph.ts';
import { startGateway, type Gateway } from '../../gateway/gateway.ts';
import { BARE_GATEWAY } from '../../gateway/testing/bare-gateway.ts';
import type { Signer } from '../../subgraphs/flags/signing/signing.ts';
import { connectInProcess } from '../../subgraphs/shared/subgraph/in-process-connection.ts';
import type { MetricsStore } from '../../subgraphs/shared/stores/metrics-store.ts';
import type { Subgraph } from '../../subgraphs/shared/subgraph/subgraph.ts';
import { silent } from '../../subgraphs/shared/testing/asking.ts';
import { testWebhookSettings } from '../../subgraphs/shared/testing/webhook-settings.ts';
import type { Lifecycle } from '../../main/process/lifecycle.ts';
import { endedSessionsIn, sessionsIn } from '../../main/gateway/sessions.ts';
import { openReads } from '../../main/stores/databases.ts';
import { startSubgraph, type Parts } from '../../main/subgraphs.ts';

/** The stores and secrets that a test gives. */
export interface WholeParts extends Pick<Parts, 'database' | 'bus' | 'store' | 'limiter' | 'vehicleTokens'> {
  readonly signer: Signer;
  readonly metrics: MetricsStore;
}

/** A control plane in this process. */
export interface WholeControlPlane {
  readonly gateway: Gateway;
  readonly subgraphs: ReadonlyMap<SubgraphName, Subgraph>;
}

/**
 * Starts the subgraphs and the gateway. Closing `lifecycle` stops them, but not the stores.
 *
 * @param port the port of the gateway; 0 picks a free one
 */
export async function startWholeControlPlane(
  { signer, metrics, ...parts }: WholeParts,
  lifecycle: Lifecycle,
  port = 0,
): Promise<WholeControlPlane> {
  const subgraphParts = {
    ...parts,
    reads: openReads(parts.database, parts.store, lifecycle, silent),
    webhooks: testWebhookSettings,
    logger: silent,
    signer: async () => signer,
    metrics: async () => metrics,
  };
  const subgraphs = new Map<SubgraphName, Subgraph>();
  const connections = [];
  for (const name of SUBGRAPH_NAMES) {
    const { subgraph, ready } = await startSubgraph(name, subgraphParts, lifecycle);
    const connection = connectInProcess(subgraph, ready);
    lifecycle.onClose(() => connection.close());
    subgraphs.set(name, subgraph);
    connections.push([name, connection] as const);
  }
  const gateway = await startGateway({
    subgraphs: Object.fromEntries(connections) as unknown as Subgraphs,
    findSession: sessionsIn(parts.store),
    endedSessions: endedSessionsIn(parts.store),
    vehicleTokens: parts.vehicleTokens,
    limiter: parts.limiter,
    publicKeys: async () => signer.publicKeys,
    ...BARE_GATEWAY,
    port,
    logger: silent,
  });
  lifecycle.onClose(() => gateway.close(0));
  return { gateway, subgraphs };
}
