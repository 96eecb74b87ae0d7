/** The names of a table's columns. */

/** A column by its name; `number`: one of numbers, which stand to the right. */
type Column = string | { readonly number: string };

/** The head of a table. Takes the columns in their order. */
export function TableHead({ columns }: { readonly columns: readonly Column[] }) {
  return (
    <thead>
      <tr>
        {columns.map((column, index) =>
          typeof column === 'string' ? (
            <th key={index} scope="col">
              {column}
            </th>
          ) : (
            <th key={index} scope="col" class="number">
              {column.number}
            </th>
          ),
        )}
      </tr>
    </thead>
  );
}
