/** A field for a line of text, without the corrections that suit prose. */
import { Field } from '../parts/parts.tsx';

interface PlainTextProps {
  readonly label: string;
  readonly value: string;
  readonly list?: string;
  readonly problem: string | null;
  readonly change: (value: string) => void;
}

/** Shows the field. `list` is the id of a list of suggestions, `problem` what is wrong with the text. */
export function PlainTextField({ label, value, list, problem, change }: PlainTextProps) {
  return (
    <Field label={label} wrong={problem}>
      {(control) => (
        <input
          {...control}
          type="text"
          autocomplete="off"
          autocapitalize="off"
          spellcheck={false}
          {...(list !== undefined && { list })}
          value={value}
          onInput={(event) => change(event.currentTarget.value)}
        />
      )}
    </Field>
  );
}
