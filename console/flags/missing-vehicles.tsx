/** The vehicles that have not stored a change yet. */
import { useEffect } from 'preact/hooks';
import { useQuery } from '../api/use-query.ts';
import { MissingVehiclesDocument, type Environment } from '../generated/operations.ts';
import { FaultNotice, Loading, Time } from '../parts/parts.tsx';
import { TableHead } from '../parts/table-head.tsx';
import { VehicleBadge } from '../fleet/vehicle-badge.tsx';
import { vehiclePath } from '../navigation/paths.ts';
import { Link } from '../navigation/router.tsx';
import { useWords } from '../words/language.ts';

/** The milliseconds between two polls of the list. */
const POLL_MS = 5_000;

interface MissingProps {
  /** The flag whose vehicles are asked for; null: all of the environment. */
  readonly flagKey: string | null;
  readonly environment: Environment;
  readonly revision: number;
  /** The number of them that stands above the list, which is read again with it. */
  readonly count: number;
}

/** Shows the vehicles of an environment that have not stored a revision, and when each was last seen. */
export function MissingVehicles({ flagKey, environment, revision, count }: MissingProps) {
  const { words, formats } = useWords();
  const { data, fault, refresh } = useQuery(
    MissingVehiclesDocument,
    { environment, revision, flag: flagKey },
    { everyMs: POLL_MS },
  );
  useEffect(() => {
    // A list of vehicles that have it by now would contradict the number.
    if (data !== null && data.rolloutProgress.missing.totalCount !== count) refresh();
  }, [count]);
  if (fault !== null) return <FaultNotice fault={fault} retry={refresh} />;
  if (data === null) return <Loading />;
  const { nodes, totalCount } = data.rolloutProgress.missing;
  if (nodes.length === 0) return null;
  return (
    <>
      <table class="table" aria-label={words.whoIsMissing}>
        <TableHead columns={[words.vehicle, words.state, words.lastSeen]} />
        <tbody>
          {nodes.map(({ vin, model, region, status, lastSeenAt }) => (
            <tr key={vin}>
              <th scope="row">
                <Link to={vehiclePath(vin)}>
                  <code>{vin}</code>
                </Link>{' '}
                <span class="quiet">
                  {model} · {region}
                </span>
              </th>
              <td data-label={words.state}>
                <VehicleBadge status={status} />
              </td>
              <td data-label={words.lastSeen} class="quiet">
                {lastSeenAt === null ? words.never : <Time at={lastSeenAt} />}
              </td>
            </tr>
          ))}
        </tbody>
      </table>
      {totalCount > nodes.length && <p class="quiet">{words.others(formats.number(totalCount - nodes.length))}</p>}
    </>
  );
}
