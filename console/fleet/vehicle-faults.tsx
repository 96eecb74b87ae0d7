/** The faults that a vehicle has reported under its flags. */
import type { OneVehicleQuery } from '../generated/operations.ts';
import { flagPath } from '../navigation/paths.ts';
import { Link } from '../navigation/router.tsx';
import { Time } from '../parts/parts.tsx';
import { TableHead } from '../parts/table-head.tsx';
import { useReleaseWords } from '../words/use-release-words.ts';

type Faults = NonNullable<OneVehicleQuery['vehicle']>['faults'];

/** Shows the faults as a table, or says that there are none. */
export function VehicleFaults({ faults }: { readonly faults: Faults }) {
  const { words, texts, formats } = useReleaseWords();
  return (
    <section class="panel" aria-labelledby="faults-title">
      <h2 id="faults-title">{words.vehicleFaults}</h2>
      {faults.length === 0 ? (
        <p class="quiet">{words.noVehicleFaults}</p>
      ) : (
        <table class="table" aria-labelledby="faults-title">
          <TableHead columns={[words.flag, texts.fault, words.fields.revision, texts.newestFault]} />
          <tbody>
            {faults.map(({ environment, flagKey, kind, revision, message, occurredAt }) => (
              <tr key={`${environment} ${flagKey} ${revision} ${kind}`}>
                <th scope="row">
                  <Link to={flagPath(flagKey)}>{flagKey}</Link>
                </th>
                <td data-label={texts.fault}>{texts.faultKinds[kind]}</td>
                <td data-label={words.fields.revision}>{formats.number(revision)}</td>
                <td data-label={texts.newestFault}>
                  {words.quoted(message)}{' '}
                  <span class="quiet">
                    <Time at={occurredAt} />
                  </span>
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
    </section>
  );
}
