/** A choice of any number of things, each with a box to check. */
import { useId } from 'preact/hooks';

interface CheckListProps {
  readonly label: string;
  readonly hint?: string;
  /** The things by their ids, each with its words. */
  readonly options: readonly (readonly [id: string, text: string])[];
  readonly chosen: ReadonlySet<string>;
  readonly onChoose: (chosen: ReadonlySet<string>) => void;
  /** Says that there is nothing to choose from. */
  readonly none: string;
}

/** The boxes of a choice, in the order of the options. */
export function CheckList({ label, hint, options, chosen, onChoose, none }: CheckListProps) {
  const id = useId();
  const toggle = (option: string, checked: boolean) => {
    const next = new Set(chosen);
    if (checked) next.add(option);
    else next.delete(option);
    onChoose(next);
  };
  return (
    <fieldset class="check-list" aria-describedby={`${id}-about`}>
      <legend>{label}</legend>
      {options.length === 0 && <p class="quiet">{none}</p>}
      {options.length > 0 && (
        <div class="check-options">
          {options.map(([option, text]) => (
            <label key={option} class="check">
              <input
                type="checkbox"
                checked={chosen.has(option)}
                onChange={(event) => toggle(option, event.currentTarget.checked)}
              />
              <span>{text}</span>
            </label>
          ))}
        </div>
      )}
      <div id={`${id}-about`} class="field-about">
        {hint !== undefined && <p class="quiet">{hint}</p>}
      </div>
    </fieldset>
  );
}
