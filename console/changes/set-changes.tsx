/** The changes of a set, flag by flag: the difference, and while it waits the vehicles that it would concern. */
import { useQuery } from '../api/use-query.ts';
import { RequestChangesDocument } from '../generated/operations.ts';
import { textAt } from '../json.ts';
import { flagPath } from '../navigation/paths.ts';
import { Link } from '../navigation/router.tsx';
import { FaultNotice, Loading } from '../parts/parts.tsx';
import { useWords } from '../words/language.ts';
import { AudienceChangeTable } from './audience-change.tsx';
import { DifferenceTable } from './difference-table.tsx';

interface SetChangesProps {
  readonly id: string;
  /** Whether each flag has a difference of its own; a changed segment has one for all. */
  readonly isCompared: boolean;
}

/** Shows the changes of a set. Takes the id of its change request. */
export function SetChanges({ id, isCompared }: SetChangesProps) {
  const { words, formats } = useWords();
  const { data, fault, refresh } = useQuery(
    RequestChangesDocument,
    { id },
    { concerns: ({ about }) => about === 'flag' },
  );
  if (fault !== null) return <FaultNotice fault={fault} retry={refresh} />;
  if (data === null) return <Loading />;
  const node = data.node;
  if (node === null || !('changes' in node)) return null;
  const more = node.flagCount - node.changes.length;
  return (
    <>
      {node.changes.map(({ key, flag, action, before, after, preview }) => {
        const name = textAt(words.actions, action) ?? action;
        return (
          <section key={key}>
            <h3>
              {name}: <Link to={flagPath(flag.key)}>{flag.name}</Link>
            </h3>
            {isCompared && <DifferenceTable before={before} after={after} label={`${name}: ${flag.name}`} />}
            {preview !== null && <AudienceChangeTable change={preview.audience} />}
          </section>
        );
      })}
      {more > 0 && <p class="quiet">{words.others(formats.number(more))}</p>}
    </>
  );
}
