/** The value of each flag for one vehicle, with its explanation. */
import { useState } from 'preact/hooks';
import { useQuery } from '../api/use-query.ts';
import { VehicleValuesDocument, type Environment } from '../generated/operations.ts';
import { jsonText } from '../json.ts';
import { flagPath } from '../navigation/paths.ts';
import { Link } from '../navigation/router.tsx';
import { FaultNotice, Loading } from '../parts/parts.tsx';
import { useWords } from '../words/language.ts';
import { Explanation } from './explanation.tsx';

interface ValueItemProps {
  readonly vin: string;
  readonly flagKey: string;
  readonly value: unknown;
  readonly variant: string;
}

function ValueItem({ vin, flagKey, value, variant }: ValueItemProps) {
  const { words } = useWords();
  const [open, setOpen] = useState(false);
  return (
    <li>
      <details class="entry" onToggle={(event) => setOpen(event.currentTarget.open)}>
        <summary>
          <code class="entry-what">{flagKey}</code>
          <code>{jsonText(value)}</code>
          <span class="quiet">{variant}</span>
        </summary>
        {open && (
          <>
            <Explanation flagKey={flagKey} vin={vin} />
            <p>
              <Link to={flagPath(flagKey)}>{words.toFlag}</Link>
            </p>
          </>
        )}
      </details>
    </li>
  );
}

/** Shows the flags of an environment with their values for one vehicle. */
export function VehicleValues({ vin, environment }: { readonly vin: string; readonly environment: Environment }) {
  const { words } = useWords();
  const { data, fault, refresh } = useQuery(
    VehicleValuesDocument,
    { vin, environment },
    { concerns: ({ about }) => about === 'flag' },
  );
  const values = data?.vehicle?.evaluations ?? null;
  return (
    <section class="panel" aria-labelledby="values-title">
      <h2 id="values-title">{words.valuesTitle}</h2>
      <p class="quiet">{words.valuesLead}</p>
      {fault !== null && <FaultNotice fault={fault} retry={refresh} />}
      {values === null && fault === null && <Loading />}
      {values !== null && values.length === 0 && <p class="quiet">{words.noFlags}</p>}
      <ul class="entries">
        {values?.map(({ flagKey, value, variant }) => (
          <ValueItem key={flagKey} vin={vin} flagKey={flagKey} value={value} variant={variant} />
        ))}
      </ul>
    </section>
  );
}
