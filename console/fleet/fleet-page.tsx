/** The fleet: how many vehicles are online, by model, region and version, and a search for one of them. */
import { useQuery } from '../api/use-query.ts';
import { FleetDocument, type FleetQuery } from '../generated/operations.ts';
import { FaultNotice, Loading, Page, ProgressBar } from '../parts/parts.tsx';
import { useWords } from '../words/language.ts';
import { VehicleList } from './vehicle-list.tsx';

/** The milliseconds between two polls. */
const POLL_MS = 10_000;
/** The values of a column that are shown; the others are counted together. */
const SHOWN = 6;

type Fleet = FleetQuery['fleet'];

function CountTable({ title, counts, total }: { title: string; counts: Fleet['byModel']; total: number }) {
  const { words, formats } = useWords();
  const rest = counts.slice(SHOWN).reduce((sum, { count }) => sum + count, 0);
  const rows = [...counts.slice(0, SHOWN), ...(rest > 0 ? [{ key: words.theOthers, count: rest }] : [])];
  return (
    <table class="table table-counts">
      <caption>{title}</caption>
      <tbody>
        {rows.map(({ key, count }) => (
          <tr key={key}>
            <th scope="row">{key}</th>
            <td class="share">
              <ProgressBar label={words.shareOf(key)} percent={(count / total) * 100} />
            </td>
            <td class="number">{formats.number(count)}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

function Summary({ fleet }: { readonly fleet: Fleet }) {
  const { words, formats } = useWords();
  const { total, online, offline, maintenance } = fleet;
  return (
    <section class="panel" aria-labelledby="summary-title">
      <h2 id="summary-title">{words.fleetNow}</h2>
      <div class="watch">
        {[
          [words.vehicleStatus.ONLINE, online] as const,
          [words.vehicleStatus.OFFLINE, offline] as const,
          [words.vehicleStatus.MAINTENANCE, maintenance] as const,
          [words.inAll, total] as const,
        ].map(([name, count]) => (
          <p class="watch-number" key={name}>
            <strong>{formats.number(count)}</strong>
            <span class="quiet">{name}</span>
          </p>
        ))}
      </div>
      {total > 0 && (
        <div class="columns">
          <CountTable title={words.models} counts={fleet.byModel} total={total} />
          <CountTable title={words.regions} counts={fleet.byRegion} total={total} />
          <CountTable title={words.versions} counts={fleet.bySwVersion} total={total} />
        </div>
      )}
    </section>
  );
}

/** The page of the fleet. */
export function FleetPage() {
  const { words } = useWords();
  const { data, fault, refresh } = useQuery(FleetDocument, {}, { everyMs: POLL_MS });
  return (
    <Page title={words.fleet}>
      {fault !== null && <FaultNotice fault={fault} retry={refresh} />}
      {data === null && fault === null && <Loading />}
      {data !== null && (
        <>
          <Summary fleet={data.fleet} />
          <VehicleList fleet={data.fleet} />
        </>
      )}
    </Page>
  );
}
