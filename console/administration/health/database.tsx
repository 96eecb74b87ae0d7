/** The statistics of PostgreSQL: sizes, slow statements, indexes that are not used or do the same work. */
import type { ComponentChildren } from 'preact';
import { useQuery } from '../../api/use-query.ts';
import { DatabaseHealthDocument, type DatabaseHealthQuery } from '../../generated/operations.ts';
import { FaultNotice, Loading } from '../../parts/parts.tsx';
import { TableHead } from '../../parts/table-head.tsx';
import { useAdministrationWords } from '../../words/use-administration-words.ts';

/** The milliseconds between two polls of PostgreSQL's catalogue, which costs more than the rest of the page. */
const POLL_MS = 60_000;

type Health = DatabaseHealthQuery['databaseHealth'];

interface Row {
  readonly key: string;
  readonly heading: ComponentChildren;
  /** The content of the columns after the first. */
  readonly cells: readonly ComponentChildren[];
}

interface FindingProps {
  readonly title: string;
  /** Says that there is nothing; the table is left out then. */
  readonly none: string | null;
  readonly columns: readonly (readonly [name: string, isNumber?: 'number'])[];
  readonly rows: readonly Row[];
}

function Finding({ title, none, columns, rows }: FindingProps) {
  return (
    <>
      <h3>{title}</h3>
      {none !== null && <p class="quiet">{none}</p>}
      {none === null && (
        <table class="table" aria-label={title}>
          <TableHead columns={columns.map(([name, kind]) => (kind === undefined ? name : { number: name }))} />
          <tbody>
            {rows.map(({ key, heading, cells }) => (
              <tr key={key}>
                <th scope="row">{heading}</th>
                {columns.slice(1).map(([name, kind], index) => (
                  <td key={name} class={kind} data-label={name}>
                    {cells[index]}
                  </td>
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      )}
    </>
  );
}

function TableSizes({ sizes }: { readonly sizes: Health['tableSizes'] }) {
  const { own, formats } = useAdministrationWords();
  const sum = (part: 'tableBytes' | 'indexBytes' | 'totalBytes') => sizes.reduce((all, size) => all + size[part], 0);
  const all = {
    table: own.allTables,
    tableBytes: sum('tableBytes'),
    indexBytes: sum('indexBytes'),
    totalBytes: sum('totalBytes'),
  };
  return (
    <Finding
      title={own.tableSizes}
      none={null}
      columns={[[own.table], [own.rowsSize, 'number'], [own.indexesSize, 'number'], [own.totalSize, 'number']]}
      rows={[...sizes, all].map((size) => ({
        key: size.table,
        heading: size === all ? size.table : <code>{size.table}</code>,
        cells: [formats.bytes(size.tableBytes), formats.bytes(size.indexBytes), formats.bytes(size.totalBytes)],
      }))}
    />
  );
}

function SlowQueries({ queries, isKnown }: { readonly queries: Health['slowQueries']; readonly isKnown: boolean }) {
  const { words, own, formats } = useAdministrationWords();
  return (
    <Finding
      title={own.slowQueries}
      none={queries.length > 0 ? null : isKnown ? own.noSlowQueries : words.unknown}
      columns={[
        [own.statement],
        [own.calls, 'number'],
        [own.meanTime, 'number'],
        [own.longestTime, 'number'],
        [own.totalTime, 'number'],
      ]}
      rows={queries.map(({ query, calls, meanMs, maxMs, totalMs }) => ({
        key: query,
        heading: (
          <details>
            <summary class="statement">
              <code>{query.slice(0, 80)}</code>
            </summary>
            <pre class="code" tabIndex={0} aria-label={own.statement}>
              {query}
            </pre>
          </details>
        ),
        cells: [formats.number(calls), ...[meanMs, maxMs, totalMs].map((ms) => formats.milliseconds(ms))],
      }))}
    />
  );
}

interface IndexesProps {
  readonly title: string;
  readonly none: string;
  readonly found: readonly { readonly names: string; readonly table: string; readonly sizeBytes: number }[];
}

function Indexes({ title, none, found }: IndexesProps) {
  const { own, formats } = useAdministrationWords();
  return (
    <Finding
      title={title}
      none={found.length === 0 ? none : null}
      columns={[[own.index], [own.table], [own.size, 'number']]}
      rows={found.map(({ names, table, sizeBytes }) => ({
        key: names,
        heading: <code class="breaking">{names}</code>,
        cells: [<code key="table">{table}</code>, formats.bytes(sizeBytes)],
      }))}
    />
  );
}

/** Shows the statistics of the database, and reads them again at intervals. */
export function Database() {
  const { own } = useAdministrationWords();
  const { data, fault, refresh } = useQuery(DatabaseHealthDocument, {}, { everyMs: POLL_MS });
  const health = data?.databaseHealth ?? null;
  return (
    <section class="panel" aria-labelledby="database-title">
      <h2 id="database-title">{own.database}</h2>
      {fault !== null && <FaultNotice fault={fault} retry={refresh} />}
      {health === null && fault === null && <Loading />}
      {health !== null && (
        <>
          {health.notes.length > 0 && (
            <div class="notice">
              <p>
                <strong>{own.databaseNotes}</strong>
              </p>
              {health.notes.map((note) => (
                <p key={note} lang="en">
                  {note}
                </p>
              ))}
            </div>
          )}
          <TableSizes sizes={health.tableSizes} />
          <SlowQueries queries={health.slowQueries} isKnown={health.notes.length === 0} />
          <Indexes
            title={own.unusedIndexes}
            none={own.noUnusedIndexes}
            found={health.unusedIndexes.map(({ index, ...one }) => ({ ...one, names: index }))}
          />
          <Indexes
            title={own.duplicateIndexes}
            none={own.noDuplicateIndexes}
            found={health.duplicateIndexes.map(({ indexes, ...one }) => ({ ...one, names: indexes.join(', ') }))}
          />
        </>
      )}
    </section>
  );
}
