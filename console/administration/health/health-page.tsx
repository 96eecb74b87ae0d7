/** The health of the deployment: the fleet's lag, the audit chain, gateways, queues and the database. */
import { ChainState } from '../../audit/chain-state.tsx';
import { Page } from '../../parts/parts.tsx';
import { may, sessionState } from '../../session/session.ts';
import { useStore } from '../../store.ts';
import { useAdministrationWords } from '../../words/use-administration-words.ts';
import { Database } from './database.tsx';
import { FleetLag } from './fleet-lag.tsx';
import { Gateways } from './gateways.tsx';
import { PartitionLoads } from './partition-loads.tsx';
import { Queues } from './queues.tsx';

/** Shows the page: the state of the fleet to everybody, and that of the deployment to administrators. */
export function HealthPage() {
  const { words, own } = useAdministrationWords();
  const { session } = useStore(sessionState);
  const isAdministrator = may(session, 'administer');
  return (
    <Page title={words.health}>
      <p class="quiet">{own.healthLead}</p>
      <FleetLag />
      <PartitionLoads />
      {isAdministrator && (
        <>
          <Gateways />
          <Queues />
        </>
      )}
      {may(session, 'checkChain') && <ChainState />}
      {isAdministrator && <Database />}
    </Page>
  );
}
