/** The fields of one step of a rollout. */
import { Select } from '../parts/select.tsx';
import { TextField } from '../parts/text-field.tsx';
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
  const position = formats.number(index + 1);
  return (
    <fieldset class="fieldset">
      <legend>{texts.stepOf(position)}</legend>
      <div class="field-row">
        <TextField
          label={texts.percentage}
          wrong={wrongAt('percentage')}
          inputMode="decimal"
          value={step.percentage}
          onType={(percentage) => change({ ...step, percentage })}
        />
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
            <TextField
              label={texts.wait}
              wrong={wrongAt('after')}
              inputMode="numeric"
              value={step.wait}
              onType={(wait) => change({ ...step, wait })}
            />
            <Select
              label={texts.unit}
              value={step.unit}
              options={WAIT_UNITS.map((unit) => [unit, texts.units[unit]])}
              onChoose={(unit) => change({ ...step, unit: unit ?? 'hours' })}
            />
          </>
        ) : (
          <TextField
            label={texts.date}
            wrong={wrongAt('at')}
            hint={texts.zone(formats.offset(new Date()))}
            type="datetime-local"
            value={step.date}
            onType={(date) => change({ ...step, date })}
          />
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
