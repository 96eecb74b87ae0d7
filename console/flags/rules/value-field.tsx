/** The field of a flag's value: a choice, a text, a number or JSON, by the flag's type. */
import type { FlagType } from '../../generated/operations.ts';
import { Field } from '../../parts/parts.tsx';
import { useWords } from '../../words/language.ts';

const BOOLEANS = ['true', 'false'] as const;

interface ValueFieldProps {
  readonly label: string;
  readonly hint?: string | undefined;
  readonly type: FlagType;
  readonly text: string;
  readonly wrong: string | null;
  readonly onText: (text: string) => void;
}

/** Shows the field for a type of flag. `onText` gets what is typed; a choice gives `true` or `false`. */
export function ValueField({ label, hint, type, text, wrong, onText }: ValueFieldProps) {
  const { words } = useWords();
  const take = (event: { readonly currentTarget: { readonly value: string } }) => onText(event.currentTarget.value);
  return (
    <Field label={label} wrong={wrong} hint={hint ?? (type === 'JSON' ? words.forms.jsonHint : undefined)}>
      {(control) =>
        type === 'BOOLEAN' ? (
          <select {...control} value={text === 'true' ? 'true' : 'false'} onChange={take}>
            {BOOLEANS.map((one) => (
              <option key={one} value={one}>
                {one}
              </option>
            ))}
          </select>
        ) : type === 'JSON' ? (
          <textarea {...control} class="code" rows={5} spellcheck={false} value={text} onInput={take} />
        ) : (
          <input
            {...control}
            type="text"
            inputMode={type === 'NUMBER' ? 'decimal' : 'text'}
            autocomplete="off"
            value={text}
            onInput={take}
          />
        )
      }
    </Field>
  );
}
