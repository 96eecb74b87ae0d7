/** The faults that vehicles have reported under a flag, by kind and revision. */
import type { ReleaseUnderWayQuery } from '../generated/operations.ts';
import { NumberCell } from '../parts/number-cell.tsx';
import { Time } from '../parts/parts.tsx';
import { TableHead } from '../parts/table-head.tsx';
import { useReleaseWords } from '../words/use-release-words.ts';

type Faults = NonNullable<ReleaseUnderWayQuery['flag']>['faults'];

/** Shows the faults as a table, or says that there are none. */
export function FaultTable({ faults }: { readonly faults: Faults }) {
  const { words, texts, formats } = useReleaseWords();
  if (faults.length === 0) return <p class="quiet">{texts.noFaults}</p>;
  return (
    <table class="table" aria-label={texts.faults}>
      <TableHead columns={[texts.fault, { number: texts.faultyVehicles }, words.fields.revision, texts.newestFault]} />
      <tbody>
        {faults.map(({ kind, revision, vehicles, message, receivedAt }) => (
          <tr key={`${revision} ${kind}`}>
            <th scope="row">{texts.faultKinds[kind]}</th>
            <NumberCell label={texts.faultyVehicles}>{formats.number(vehicles)}</NumberCell>
            <td data-label={words.fields.revision}>{formats.number(revision)}</td>
            <td data-label={texts.newestFault}>
              {words.quoted(message)}{' '}
              <span class="quiet">
                <Time at={receivedAt} />
              </span>
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}
