/** The platform's own list of suggestions for a field: what is written, and what it stands for. */
interface SuggestionsProps {
  readonly id: string;
  readonly known: readonly { readonly key: string; readonly name?: string | undefined }[];
}

/** Gives a field the list of known keys, each with its name. The field names it by `id`. */
export function Suggestions({ id, known }: SuggestionsProps) {
  return (
    <datalist id={id}>
      {known.map(({ key, name }) => (
        <option key={key} value={key} label={name} />
      ))}
    </datalist>
  );
}
