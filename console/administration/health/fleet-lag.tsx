/** The lag of the fleet: the vehicles of each environment that have stored its present revision. */
import { useQuery } from '../../api/use-query.ts';
import { FleetLagDocument } from '../../generated/operations.ts';
import { NumberCell } from '../../parts/number-cell.tsx';
import { FaultNotice, Loading, ProgressBar } from '../../parts/parts.tsx';
import { TableHead } from '../../parts/table-head.tsx';
import { useAdministrationWords } from '../../words/use-administration-words.ts';
import { POLL_MS } from './every.ts';

/** Shows the vehicles that are up to date and those that are behind, for each environment. */
export function FleetLag() {
  const { words, own, formats } = useAdministrationWords();
  const { data, fault, refresh } = useQuery(
    FleetLagDocument,
    {},
    { everyMs: POLL_MS, concerns: ({ about }) => about === 'flag' },
  );
  return (
    <section class="panel" aria-labelledby="lag-title">
      <h2 id="lag-title">{own.fleetLag}</h2>
      <p class="quiet">{own.fleetLagLead}</p>
      {fault !== null && <FaultNotice fault={fault} retry={refresh} />}
      {data === null && fault === null && <Loading />}
      {data !== null && (
        <table class="table" aria-labelledby="lag-title">
          <TableHead
            columns={[words.environment, { number: own.presentRevision }, own.upToDate, { number: own.behind }]}
          />
          <tbody>
            {[data.production, data.staging, data.development].map(
              ({ environment, revision, applied, active, total, percent }) => (
                <tr key={environment}>
                  <th scope="row">{words.environments[environment]}</th>
                  <NumberCell label={own.presentRevision}>{formats.number(revision)}</NumberCell>
                  <td data-label={own.upToDate}>
                    {total === 0 ? (
                      <span class="quiet">{words.noVehicles}</span>
                    ) : (
                      <>
                        {own.heldOf(formats.number(applied), formats.number(total))} ({formats.percent(percent)})
                        <ProgressBar label={words.shareOf(words.environments[environment])} percent={percent} />
                        {active < applied && (
                          <p class="quiet">
                            {words.waitInVehicles(applied - active, formats.number(applied - active))}
                          </p>
                        )}
                      </>
                    )}
                  </td>
                  <NumberCell label={own.behind}>{formats.number(total - applied)}</NumberCell>
                </tr>
              ),
            )}
          </tbody>
        </table>
      )}
    </section>
  );
}
