/** A difference as a table: the part, what it was, what it becomes. */
import { useWords } from '../words/language.ts';
import { differencesOf } from './differences.ts';
import { TableHead } from '../parts/table-head.tsx';

interface DifferenceProps {
  readonly before: unknown;
  readonly after: unknown;
  /** The table's name for screen readers. */
  readonly label: string;
}

/** The table of what differs between two states; a sentence where nothing does. */
export function DifferenceTable({ before, after, label }: DifferenceProps) {
  const spoken = useWords();
  const { words } = spoken;
  const differences = differencesOf(before, after, spoken);
  if (differences.length === 0) return <p class="quiet">{words.noDifference}</p>;
  return (
    <table class="table table-difference" aria-label={label}>
      <TableHead columns={[words.part, words.before, words.after]} />
      <tbody>
        {differences.map((difference) => (
          <tr key={difference.part}>
            <th scope="row">{difference.part}</th>
            <td data-label={words.before}>
              {difference.before === null ? <span class="quiet">{words.nothing}</span> : <del>{difference.before}</del>}
            </td>
            <td data-label={words.after}>
              {difference.after === null ? <span class="quiet">{words.nothing}</span> : <ins>{difference.after}</ins>}
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}
