/** The vehicles of a flag by what they get now, counted on the registered fleet. */
import { useQuery } from '../api/use-query.ts';
import { AudienceOfFlagDocument, type AudienceFragment } from '../generated/operations.ts';
import { jsonText } from '../json.ts';
import { NumberCell } from '../parts/number-cell.tsx';
import { FaultNotice, Loading } from '../parts/parts.tsx';
import { TableHead } from '../parts/table-head.tsx';
import { useWords } from '../words/language.ts';

/** The models and regions that are named; the others are counted together. */
const NAMED = 4;

type Variant = AudienceFragment['variants'][number];

/** Shows vehicles by model or region: the first few groups by name, and the others together. */
export function Counts({ counts }: { readonly counts: Variant['byModel'] }) {
  const { words, formats } = useWords();
  const others = counts.slice(NAMED).reduce((sum, { count }) => sum + count, 0);
  return (
    <ul class="counts">
      {counts.slice(0, NAMED).map(({ key, count }) => (
        <li key={key}>
          {key} <span class="quiet">{formats.number(count)}</span>
        </li>
      ))}
      {others > 0 && <li class="quiet">{words.others(formats.number(others))}</li>}
    </ul>
  );
}

/** Shows an audience as a table with a row for each value. `label` names the table for screen readers. */
export function AudienceTable({ audience, label }: { readonly audience: AudienceFragment; readonly label: string }) {
  const { words, formats } = useWords();
  return (
    <table class="table" aria-label={label}>
      <TableHead columns={[words.fields.value, { number: words.vehicles }, words.models, words.regions]} />
      <tbody>
        {audience.variants.map(({ variant, value, vehicles, byModel, byRegion }) => (
          <tr key={`${variant} ${jsonText(value)}`}>
            <th scope="row">
              <code>{jsonText(value)}</code> <span class="quiet">{variant}</span>
            </th>
            <NumberCell label={words.vehicles}>{formats.number(vehicles)}</NumberCell>
            <td data-label={words.models}>
              <Counts counts={byModel} />
            </td>
            <td data-label={words.regions}>
              <Counts counts={byRegion} />
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

interface FlagAudienceProps {
  readonly flagKey: string;
  /** Whether a rule asks for attributes, which vehicles alone know. */
  readonly hasAttributes: boolean;
}

/** Loads the audience of a flag, and again when the flag changes. */
export function FlagAudience({ flagKey, hasAttributes }: FlagAudienceProps) {
  const { words } = useWords();
  const { data, fault, refresh } = useQuery(
    AudienceOfFlagDocument,
    { key: flagKey },
    { concerns: (news) => news.about === 'flag' && news.key === flagKey },
  );
  const audience = data?.flag?.audience ?? null;
  return (
    <>
      {fault !== null && <FaultNotice fault={fault} retry={refresh} />}
      {audience === null && fault === null && <Loading />}
      {audience !== null && audience.total === 0 && <p class="quiet">{words.noVehicles}</p>}
      {audience !== null && audience.total > 0 && <AudienceTable audience={audience} label={words.whoHasWhat} />}
      {hasAttributes && <p class="quiet">{words.attributesUncounted}</p>}
    </>
  );
}
