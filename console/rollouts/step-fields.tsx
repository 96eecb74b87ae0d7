/** The fields of one step of a rollout. */
import { Field } from '../parts/parts.tsx';
import { Select } from '../parts/select.tsx';
import { useWords } from '../words/language.ts';
import { WAIT_UNITS, type StepDraft } from './plan.ts';

interface StepFieldsProps {
  readonly step: StepDraft;
  /** Counts from 0. */
  readonly index: number;
  readonly change: (step: StepDraft) => void;
  /** Absent: it is the only step. */
  readonly remove: (() => void) | undefined;
  /** Gives what is wrong with a member of the step. */
  readonly wrongAt: (member: 'percentage' | 'after' | 'at') => string | null;
}

/** Shows the fields of a step. `change` gets the step as it is after each input. */
export function StepFields({ step, index, change, remove, wrongAt }: StepFieldsProps) {
  const { words, formats } = useWords();
  const texts = words.rollouts;
  const wrong = { percentage: wrongAt('percentage'), after: wrongAt('after'), at: wrongAt('at') };
  const position = formats.number(index + 1);
  return (
    <fieldset class="fieldset">
      <legend>{texts.stepOf(position)}</legend>
      <div class="field-row">
        <Field label={texts.percentage} wrong={wrong.percentage}>
          {(control) => (
            <input
              {...control}
              type="text"
              inputMode="decimal"
              autocomplete="off"
              value={step.percentage}
              onInput={(event) => change({ ...step, percentage: event.currentTarget.value })}
            />
          )}
        </Field>
        <Select
          label={texts.when}
          value={step.when}
          options={[
            ['after', index === 0 ? texts.afterFirst : texts.after],
            ['at', texts.at],
          ]}
          onChoose={(when) => change({ ...step, when: when ?? 'after' })}
        />
        {step.when === 'after' ? (
          <>
            <Field label={texts.wait} wrong={wrong.after}>
              {(control) => (
                <input
                  {...control}
                  type="text"
                  inputMode="numeric"
                  autocomplete="off"
                  value={step.wait}
                  onInput={(event) => change({ ...step, wait: event.currentTarget.value })}
                />
              )}
            </Field>
            <Select
              label={texts.unit}
              value={step.unit}
              options={WAIT_UNITS.map((unit) => [unit, texts.units[unit]])}
              onChoose={(unit) => change({ ...step, unit: unit ?? 'hours' })}
            />
          </>
        ) : (
          <Field label={texts.date} wrong={wrong.at} hint={texts.zone(formats.offset(new Date()))}>
            {(control) => (
              <input
                {...control}
                type="datetime-local"
                value={step.date}
                onInput={(event) => change({ ...step, date: event.currentTarget.value })}
              />
            )}
          </Field>
        )}
      </div>
      {remove !== undefined && (
        <button type="button" class="button button-plain" onClick={remove}>
          {texts.removeStep(position)}
        </button>
      )}
    </fieldset>
  );
}
