/** The list of vehicles: found by number or model, and narrowed by what they are. */
import { useQuery } from '../api/use-query.ts';
import { VehiclesDocument, type FleetQuery, type VehicleStatus, type VehiclesQuery } from '../generated/operations.ts';
import { vehiclePath, withQuery } from '../navigation/paths.ts';
import { Link, goTo, usePlace } from '../navigation/router.tsx';
import { Pager, usePaging } from '../parts/pager.tsx';
import { FaultNotice, Loading, Results, Time } from '../parts/parts.tsx';
import { SearchField } from '../parts/search-field.tsx';
import { Select } from '../parts/select.tsx';
import { TableHead } from '../parts/table-head.tsx';
import { useWords } from '../words/language.ts';
import { VehicleBadge } from './vehicle-badge.tsx';

const PAGE_SIZE = 25;
/** The milliseconds between two polls. */
const POLL_MS = 10_000;

const STATUSES: readonly VehicleStatus[] = ['ONLINE', 'OFFLINE', 'MAINTENANCE'];

type Fleet = FleetQuery['fleet'];

/** The filters that are chosen; null: all. */
interface VehicleChoice {
  readonly search: string;
  readonly status: VehicleStatus | null;
  readonly model: string | null;
  readonly region: string | null;
  readonly version: string | null;
}

interface FiltersProps {
  readonly fleet: Fleet;
  readonly chosen: VehicleChoice;
  readonly choose: (next: Partial<VehicleChoice>) => void;
}

function VehicleFilters({ fleet, chosen, choose }: FiltersProps) {
  const { words } = useWords();
  const options = (counts: Fleet['byModel']) => counts.map(({ key }) => [key, key] as const);
  return (
    <form class="filters" role="search" onSubmit={(event) => event.preventDefault()}>
      <SearchField
        label={words.searchVehicles}
        placeholder={words.searchVehiclesHint}
        value={chosen.search}
        search={(search) => choose({ search })}
      />
      <div class="filter-row">
        <Select
          label={words.state}
          value={chosen.status}
          none={words.any}
          options={STATUSES.map((status) => [status, words.vehicleStatus[status]])}
          onChoose={(status) => choose({ status })}
        />
        <Select
          label={words.model}
          value={chosen.model}
          none={words.any}
          options={options(fleet.byModel)}
          onChoose={(model) => choose({ model })}
        />
        <Select
          label={words.region}
          value={chosen.region}
          none={words.any}
          options={options(fleet.byRegion)}
          onChoose={(region) => choose({ region })}
        />
        <Select
          label={words.version}
          value={chosen.version}
          none={words.any}
          options={options(fleet.bySwVersion)}
          onChoose={(version) => choose({ version })}
        />
      </div>
    </form>
  );
}

type Vehicle = VehiclesQuery['vehicles']['nodes'][number];

function VehicleTable({ vehicles, loading }: { readonly vehicles: readonly Vehicle[]; readonly loading: boolean }) {
  const { words } = useWords();
  return (
    <table class="table table-flags" aria-busy={loading}>
      <TableHead columns={[words.vehicle, words.state, words.version, words.environment, words.lastSeen]} />
      <tbody>
        {vehicles.map(({ vin, model, region, swVersion, status, environment, lastSeenAt }) => (
          <tr key={vin}>
            <th scope="row">
              <Link to={vehiclePath(vin)} class="flag-link">
                <code>{vin}</code>
                <span class="quiet">
                  {model} · {region}
                </span>
              </Link>
            </th>
            <td data-label={words.state}>
              <VehicleBadge status={status} />
            </td>
            <td data-label={words.version}>{swVersion}</td>
            <td data-label={words.environment}>
              {environment === null ? words.noneYet : words.environments[environment]}
            </td>
            <td data-label={words.lastSeen} class="quiet">
              {lastSeenAt === null ? words.never : <Time at={lastSeenAt} />}
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

/** The vehicles of the fleet, and a search for some of them. What is chosen stands in the page's address. */
export function VehicleList({ fleet }: { readonly fleet: Fleet }) {
  const { words, formats } = useWords();
  const { query } = usePlace();
  const given = new URLSearchParams(query);
  const chosen: VehicleChoice = {
    search: given.get('search') ?? '',
    status: STATUSES.find((status) => status === given.get('status')) ?? null,
    model: given.get('model'),
    region: given.get('region'),
    version: given.get('version'),
  };
  const paging = usePaging(PAGE_SIZE, withQuery('/fleet', { ...chosen }));
  const { data, fault, loading, refresh } = useQuery(
    VehiclesDocument,
    {
      filter: {
        ...(chosen.search !== '' && { search: chosen.search }),
        ...(chosen.status !== null && { status: chosen.status }),
        ...(chosen.model !== null && { model: chosen.model }),
        ...(chosen.region !== null && { region: chosen.region }),
        ...(chosen.version !== null && { swVersion: chosen.version }),
      },
      ...paging.page,
    },
    { everyMs: POLL_MS },
  );
  const found = data?.vehicles ?? null;
  return (
    <>
      <VehicleFilters
        fleet={fleet}
        chosen={chosen}
        choose={(next) => goTo(withQuery('/fleet', { ...chosen, ...next }), { replace: true })}
      />
      {fault !== null && <FaultNotice fault={fault} retry={refresh} />}
      {found === null && loading && <Loading />}
      {found !== null && (
        <>
          <Results
            count={words.vehiclesFound(found.totalCount, formats.number(found.totalCount))}
            none={found.nodes.length === 0 ? words.noVehicleFound : null}
          >
            <VehicleTable vehicles={found.nodes} loading={loading} />
          </Results>
          <Pager
            paging={paging}
            pageInfo={found.pageInfo}
            label={words.pagesOfVehicles}
            total={found.totalCount}
            count={found.nodes.length}
          />
        </>
      )}
    </>
  );
}
