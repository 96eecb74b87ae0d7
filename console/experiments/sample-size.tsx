/** Computes the vehicles that an experiment needs in each arm, from what is known of its metric. */
import { useState } from 'preact/hooks';
import { ask } from '../api/client.ts';
import type { Fault } from '../api/fault.ts';
import { SampleSizeDocument } from '../generated/operations.ts';
import { FaultNotice } from '../parts/parts.tsx';
import { TextField } from '../parts/text-field.tsx';
import { typedNumber } from '../rollouts/plan.ts';
import { useWords } from '../words/language.ts';

interface SampleSizeProps {
  /** The text that was typed, in percent. */
  readonly confidence: string;
  readonly use: (vehicles: number) => void;
}

/** Shows the fields of the computation. `use` takes the number of vehicles over into the form. */
export function SampleSize({ confidence, use }: SampleSizeProps) {
  const { words } = useWords();
  const texts = words.experiments;
  const [baseline, setBaseline] = useState('');
  const [effect, setEffect] = useState('5');
  const [deviation, setDeviation] = useState('');
  const [power, setPower] = useState('80');
  const [tried, setTried] = useState(false);
  const [fault, setFault] = useState<Fault | null>(null);
  const isNumber = (text: string) => !Number.isNaN(typedNumber(text));
  const problem = (isRight: boolean, text: string) => (tried && !isRight ? text : null);
  const rights = {
    baseline: isNumber(baseline),
    effect: isNumber(effect),
    deviation: deviation.trim() === '' || isNumber(deviation),
    power: typedNumber(power) > 0 && typedNumber(power) < 100,
  };
  const compute = () => {
    setTried(true);
    setFault(null);
    if (!Object.values(rights).every(Boolean)) return;
    ask(SampleSizeDocument, {
      baseline: typedNumber(baseline),
      effect: typedNumber(effect) / 100,
      standardDeviation: deviation.trim() === '' ? null : typedNumber(deviation),
      power: typedNumber(power) / 100,
      confidenceLevel: typedNumber(confidence) / 100,
    })
      .then((answer) => {
        setFault(answer.fault);
        if (answer.data !== null) use(answer.data.requiredSampleSize);
      })
      .catch(reportError);
  };
  return (
    <details class="entry">
      <summary>{texts.compute}</summary>
      <div class="fieldset">
        <div class="field-row">
          <TextField
            isCode
            label={texts.baseline}
            value={baseline}
            wrong={problem(rights.baseline, texts.wrong.number)}
            onType={setBaseline}
          />
          <TextField
            isCode
            label={texts.detect}
            value={effect}
            wrong={problem(rights.effect, texts.wrong.number)}
            onType={setEffect}
          />
          <TextField
            isCode
            label={texts.deviation}
            value={deviation}
            wrong={problem(rights.deviation, texts.wrong.number)}
            onType={setDeviation}
          />
          <TextField
            isCode
            label={texts.power}
            value={power}
            wrong={problem(rights.power, texts.wrong.percent)}
            onType={setPower}
          />
        </div>
        <p class="quiet">{texts.deviationHint}</p>
        {fault !== null && <FaultNotice fault={fault} />}
        <button type="button" class="button" onClick={compute}>
          {texts.use}
        </button>
      </div>
    </details>
  );
}
