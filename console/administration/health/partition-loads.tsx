/** The flags and bytes that the vehicles of each partition store. */
import { useQuery } from '../../api/use-query.ts';
import { PartitionLoadsDocument, type Environment, type LoadFragment } from '../../generated/operations.ts';
import { NumberCell } from '../../parts/number-cell.tsx';
import { FaultNotice, Loading } from '../../parts/parts.tsx';
import { TableHead } from '../../parts/table-head.tsx';
import { useWords } from '../../words/language.ts';
import { POLL_MS } from './every.ts';

interface LoadTableProps {
  readonly environment: Environment;
  readonly loads: readonly LoadFragment[];
}

function LoadTable({ environment, loads }: LoadTableProps) {
  const { words, formats } = useWords();
  return (
    <>
      <h3 id={`load-${environment}`}>{words.environments[environment]}</h3>
      <table class="table" aria-labelledby={`load-${environment}`}>
        <TableHead columns={[words.scopes.loadOf, { number: words.scopes.flags }, { number: words.scopes.bytes }]} />
        <tbody>
          {loads.map(({ model, flags, bytes }) => (
            <tr key={model ?? ''}>
              <th scope="row">{model ?? words.scopes.otherModels}</th>
              <NumberCell label={words.scopes.flags}>{formats.number(flags)}</NumberCell>
              <NumberCell label={words.scopes.bytes}>{formats.number(bytes)}</NumberCell>
            </tr>
          ))}
        </tbody>
      </table>
    </>
  );
}

/** Shows a table of partitions for each environment, and reads them again at intervals. */
export function PartitionLoads() {
  const { words } = useWords();
  const { data, fault, refresh } = useQuery(PartitionLoadsDocument, {}, { everyMs: POLL_MS });
  return (
    <section class="panel" aria-labelledby="loads-title">
      <h2 id="loads-title">{words.scopes.loads}</h2>
      <p class="quiet">{words.scopes.loadsLead}</p>
      {fault !== null && <FaultNotice fault={fault} retry={refresh} />}
      {data === null && fault === null && <Loading />}
      {data !== null && (
        <>
          <LoadTable environment="PRODUCTION" loads={data.production} />
          <LoadTable environment="STAGING" loads={data.staging} />
          <LoadTable environment="DEVELOPMENT" loads={data.development} />
        </>
      )}
    </section>
  );
}
