/** The gateways that report, and the vehicles that are connected to each. */
import { useQuery } from '../../api/use-query.ts';
import { GatewaysDocument } from '../../generated/operations.ts';
import { NumberCell } from '../../parts/number-cell.tsx';
import { Badge, FaultNotice, Loading } from '../../parts/parts.tsx';
import { TableHead } from '../../parts/table-head.tsx';
import { useAdministrationWords } from '../../words/use-administration-words.ts';
import { POLL_MS } from './every.ts';

/** The seconds after which a report is late: one is due every 10 s, and may take a while. */
const LATE_SECONDS = 15;

/** Shows the gateways as a table, and reads them again at intervals. */
export function Gateways() {
  const { own, formats } = useAdministrationWords();
  const { data, fault, refresh } = useQuery(GatewaysDocument, {}, { everyMs: POLL_MS });
  return (
    <section class="panel" aria-labelledby="gateways-title">
      <h2 id="gateways-title">{own.gateways}</h2>
      <p class="quiet">{own.gatewaysLead}</p>
      {fault !== null && <FaultNotice fault={fault} retry={refresh} />}
      {data === null && fault === null && <Loading />}
      {data !== null && data.gateways.length === 0 && <p class="notice notice-fault">{own.noGateways}</p>}
      {data !== null && data.gateways.length > 0 && (
        <table class="table" aria-labelledby="gateways-title">
          <TableHead columns={[own.gateway, { number: own.connectedVehicles }, own.lastReport]} />
          <tbody>
            {data.gateways.map(({ id, vehicles, secondsSinceReport }) => (
              <tr key={id}>
                <th scope="row">
                  <code class="breaking">{id}</code>
                </th>
                <NumberCell label={own.connectedVehicles}>{formats.number(vehicles)}</NumberCell>
                <td data-label={own.lastReport}>
                  {own.secondsAgo(formats.seconds(secondsSinceReport * 1_000))}{' '}
                  {secondsSinceReport > LATE_SECONDS && <Badge tone="danger">{own.late}</Badge>}
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
    </section>
  );
}
