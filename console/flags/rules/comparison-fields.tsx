/** The comparisons of a rule by attributes: name, comparison and values, each value with its kind. */
import { Field } from '../../parts/parts.tsx';
import { Select } from '../../parts/select.tsx';
import { TextField } from '../../parts/text-field.tsx';
import { useWords } from '../../words/language.ts';
import {
  NEW_COMPARISON,
  OPERATORS,
  SCALAR_KINDS,
  comparisonPath,
  valuesTaken,
  type ComparisonDraft,
  type ConditionsDraft,
  type ScalarDraft,
} from './rule-draft.ts';

const BOOLEANS = ['true', 'false'] as const;
const NO_VALUE: ScalarDraft = { kind: 'text', text: '' };

interface ComparisonProps {
  readonly comparison: ComparisonDraft;
  readonly path: string;
  readonly wrongAt: (path: string) => string | null;
  readonly onComparison: (comparison: ComparisonDraft) => void;
}

function ScalarFields({
  scalar,
  label,
  wrong,
  onScalar,
}: {
  readonly scalar: ScalarDraft;
  readonly label: string;
  readonly wrong: string | null;
  readonly onScalar: (scalar: ScalarDraft) => void;
}) {
  const { words } = useWords();
  return (
    <div class="scalar">
      <Field label={label} wrong={wrong}>
        {(control) =>
          scalar.kind === 'boolean' ? (
            <select
              {...control}
              value={scalar.text === 'true' ? 'true' : 'false'}
              onChange={(event) => onScalar({ ...scalar, text: event.currentTarget.value })}
            >
              {BOOLEANS.map((one) => (
                <option key={one} value={one}>
                  {one === 'true' ? words.yes : words.no}
                </option>
              ))}
            </select>
          ) : (
            <input
              {...control}
              type="text"
              autocomplete="off"
              inputMode={scalar.kind === 'number' ? 'decimal' : 'text'}
              value={scalar.text}
              onInput={(event) => onScalar({ ...scalar, text: event.currentTarget.value })}
            />
          )
        }
      </Field>
      <Select
        label={words.forms.kind}
        value={scalar.kind}
        options={SCALAR_KINDS.map((kind) => [kind, words.forms.kinds[kind]])}
        onChoose={(kind) => onScalar({ ...scalar, kind: kind ?? 'text' })}
      />
    </div>
  );
}

function ComparisonFields({ comparison, path, wrongAt, onComparison }: ComparisonProps) {
  const { words, formats } = useWords();
  const { attribute, operator, values } = comparison;
  const taken = valuesTaken(operator);
  const shown = taken === 'none' ? [] : taken === 'one' ? values.slice(0, 1) : values;
  return (
    <>
      <TextField
        label={words.forms.attribute}
        hint={words.forms.attributeHint}
        wrong={wrongAt(`${path}.attribute`)}
        isCode
        value={attribute}
        onType={(attribute) => onComparison({ ...comparison, attribute })}
      />
      <Select
        label={words.forms.operator}
        value={operator}
        options={OPERATORS.map((one) => [
          one,
          one === 'present' || one === 'missing' ? words.forms.operators[one] : words.rules.operators[one],
        ])}
        onChoose={(next) =>
          onComparison({ ...comparison, operator: next ?? 'eq', values: values.length === 0 ? [NO_VALUE] : values })
        }
      />
      {shown.map((scalar, index) => (
        <ScalarFields
          // Values have no name but their place.
          key={index}
          scalar={scalar}
          label={words.forms.valueNumber(formats.number(index + 1))}
          wrong={wrongAt(`${path}.values.${index}`)}
          onScalar={(next) => onComparison({ ...comparison, values: values.with(index, next) })}
        />
      ))}
      {taken === 'many' && (
        <div class="buttons">
          <button
            type="button"
            class="button"
            onClick={() =>
              onComparison({ ...comparison, values: [...values, { ...(values.at(-1) ?? NO_VALUE), text: '' }] })
            }
          >
            {words.forms.addValue}
          </button>
          {values.length > 1 && (
            <button
              type="button"
              class="button"
              onClick={() => onComparison({ ...comparison, values: values.slice(0, -1) })}
            >
              {words.forms.removeThis(words.forms.valueNumber(formats.number(values.length)))}
            </button>
          )}
        </div>
      )}
    </>
  );
}

interface ComparisonsProps {
  readonly conditions: ConditionsDraft;
  readonly wrongAt: (path: string) => string | null;
  readonly onConditions: (conditions: ConditionsDraft) => void;
}

/** Shows the comparisons of a draft, and a button that adds one. */
export function ComparisonsFields({ conditions, wrongAt, onConditions }: ComparisonsProps) {
  const { words, formats } = useWords();
  const { comparisons } = conditions;
  const choose = (next: readonly ComparisonDraft[]) => onConditions({ ...conditions, comparisons: next });
  return (
    <>
      {comparisons.map((comparison, index) => (
        <fieldset key={index} class="group">
          <legend>{words.forms.comparisonNumber(formats.number(index + 1))}</legend>
          <ComparisonFields
            comparison={comparison}
            path={comparisonPath(conditions, index)}
            wrongAt={wrongAt}
            onComparison={(next) => choose(comparisons.with(index, next))}
          />
          {comparisons.length > 1 && (
            <div class="buttons">
              <button type="button" class="button" onClick={() => choose(comparisons.toSpliced(index, 1))}>
                {words.forms.removeThis(words.forms.comparisonNumber(formats.number(index + 1)))}
              </button>
            </div>
          )}
        </fieldset>
      ))}
      <div class="buttons">
        <button type="button" class="button" onClick={() => choose([...comparisons, NEW_COMPARISON])}>
          {words.forms.addComparison}
        </button>
      </div>
    </>
  );
}
