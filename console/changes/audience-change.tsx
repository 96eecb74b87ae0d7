/** The vehicles by what they get, before a change and after it, with their models and regions. */
import type { AudienceFragment } from '../generated/operations.ts';
import { jsonText } from '../json.ts';
import { Counts } from '../flags/audience-table.tsx';
import { useWords } from '../words/language.ts';
import { TableHead } from '../parts/table-head.tsx';

type Variant = AudienceFragment['variants'][number];
type Audience = Pick<AudienceFragment, 'variants'> | null | undefined;

/** The number of vehicles whose value a change alters, and the audience of the flag before and after it. */
export interface AudienceChange {
  readonly changedVehicles: number;
  readonly before?: Audience;
  readonly after?: Audience;
}

/** Gives what vehicles get, by value and variant. */
const byValue = (audience: Audience) =>
  new Map((audience?.variants ?? []).map((one) => [`${jsonText(one.value)} (${one.variant})`, one]));

function Cell({ label, variant }: { readonly label: string; readonly variant: Variant | undefined }) {
  const { formats } = useWords();
  return (
    <td data-label={label}>
      {formats.number(variant?.vehicles ?? 0)}
      {variant !== undefined && (
        <>
          <Counts counts={variant.byModel} />
          <Counts counts={variant.byRegion} />
        </>
      )}
    </td>
  );
}

/** Shows how many vehicles a change concerns, and a table of their values before and after it. */
export function AudienceChangeTable({ change }: { readonly change: AudienceChange }) {
  const { words, formats } = useWords();
  const [before, after] = [byValue(change.before), byValue(change.after)];
  const values = [...new Set([...before.keys(), ...after.keys()])];
  return (
    <>
      <p>{words.vehiclesConcerned(change.changedVehicles, formats.number(change.changedVehicles))}</p>
      {values.length > 0 && (
        <table class="table table-difference" aria-label={words.audienceOfChange}>
          <TableHead columns={[words.vehiclesWith, words.before, words.after]} />
          <tbody>
            {values.map((value) => (
              <tr key={value}>
                <th scope="row">
                  <code>{value}</code>
                </th>
                <Cell label={words.before} variant={before.get(value)} />
                <Cell label={words.after} variant={after.get(value)} />
              </tr>
            ))}
          </tbody>
        </table>
      )}
    </>
  );
}
