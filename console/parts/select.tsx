/** A choice of one of few: the platform's own list, with its label above. */
import { useId } from 'preact/hooks';

interface SelectProps<Value extends string> {
  readonly label: string;
  readonly value: Value | null;
  /** The values, each with its words. */
  readonly options: readonly (readonly [Value, string])[];
  /** The words for no choice; absent: one has to be chosen. */
  readonly none?: string;
  readonly onChoose: (value: Value | null) => void;
}

/** Shows the list. `onChoose` gets the chosen value; null where the words for no choice are chosen. */
export function Select<Value extends string>({ label, value, options, none, onChoose }: SelectProps<Value>) {
  const id = useId();
  return (
    <div class="field">
      <label for={id}>{label}</label>
      <select
        id={id}
        value={value ?? ''}
        onChange={(event) => {
          const chosen = event.currentTarget.value;
          onChoose(options.find(([one]) => one === chosen)?.[0] ?? null);
        }}
      >
        {none !== undefined && <option value="">{none}</option>}
        {options.map(([one, text]) => (
          <option key={one} value={one}>
            {text}
          </option>
        ))}
      </select>
    </div>
  );
}
