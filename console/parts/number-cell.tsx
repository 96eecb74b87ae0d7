/** A cell of a table that holds a number. */
import type { ComponentChildren } from 'preact';

interface NumberCellProps {
  /** The name of its column, which a phone shows beside it. */
  readonly label: string;
  readonly children: ComponentChildren;
}

/** A cell with a number, which stands to the right. */
export function NumberCell({ label, children }: NumberCellProps) {
  return (
    <td class="number" data-label={label}>
      {children}
    </td>
  );
}
