/** The rows of a form for metrics beside the primary one: secondary metrics and guardrails. */
import type { GuardDirection } from '../generated/operations.ts';
import { Select } from '../parts/select.tsx';
import { useWords } from '../words/language.ts';
import type { GuardrailDraft, SecondaryDraft } from './draft.ts';
import { PlainTextField } from './plain-text-field.tsx';

const DIRECTIONS: readonly GuardDirection[] = ['HIGHER', 'LOWER'];
/** The metrics of each role that the control plane accepts. */
const MAX_ROWS = 10;

const nextId = (rows: readonly { readonly id: number }[]) => Math.max(-1, ...rows.map(({ id }) => id)) + 1;

interface RowsProps<Row> {
  readonly rows: readonly Row[];
  readonly change: (rows: readonly Row[]) => void;
  /** The id of the list of metrics that are proposed. */
  readonly list: string;
  /** Gives what is wrong at a path below the list, such as `0.metric`. */
  readonly wrongAt: (path: string) => string | null;
}

/** The rows of the secondary metrics. */
export function SecondaryRows({ rows, change, list, wrongAt }: RowsProps<SecondaryDraft>) {
  const { words, formats } = useWords();
  const texts = words.experiments;
  const set = (row: SecondaryDraft) => change(rows.map((one) => (one.id === row.id ? row : one)));
  return (
    <fieldset class="fieldset">
      <legend>{texts.secondary}</legend>
      {rows.map((row, index) => {
        const name = texts.metricOf(formats.number(index + 1));
        return (
          <div key={row.id} class="field-row">
            <PlainTextField
              label={name}
              value={row.metric}
              list={list}
              problem={wrongAt(`${index}.metric`)}
              change={(metric) => set({ ...row, metric })}
            />
            <Select
              label={texts.better}
              value={row.better}
              options={DIRECTIONS.map((one) => [one, texts.betterIs[one]])}
              onChoose={(better) => set({ ...row, better: better ?? 'HIGHER' })}
            />
            <button type="button" class="button" onClick={() => change(rows.filter(({ id }) => id !== row.id))}>
              {texts.remove(name)}
            </button>
          </div>
        );
      })}
      {rows.length < MAX_ROWS && (
        <button
          type="button"
          class="button"
          onClick={() => change([...rows, { id: nextId(rows), metric: '', better: 'HIGHER' }])}
        >
          {texts.addSecondary}
        </button>
      )}
    </fieldset>
  );
}

/** The rows of the guardrails. */
export function GuardrailRows({ rows, change, list, wrongAt }: RowsProps<GuardrailDraft>) {
  const { words, formats } = useWords();
  const texts = words.experiments;
  const set = (row: GuardrailDraft) => change(rows.map((one) => (one.id === row.id ? row : one)));
  return (
    <fieldset class="fieldset">
      <legend>{texts.guardrails}</legend>
      {rows.map((row, index) => {
        const name = texts.guardrailOf(formats.number(index + 1));
        return (
          <div key={row.id} class="field-row">
            <PlainTextField
              label={name}
              value={row.metric}
              list={list}
              problem={wrongAt(`${index}.metric`)}
              change={(metric) => set({ ...row, metric })}
            />
            <Select
              label={texts.worse}
              value={row.worse}
              options={DIRECTIONS.map((one) => [one, words.rollouts.worseIs[one]])}
              onChoose={(worse) => set({ ...row, worse: worse ?? 'HIGHER' })}
            />
            <PlainTextField
              label={texts.maxWorse}
              value={row.maxWorsePercent}
              problem={wrongAt(`${index}.maxWorsePercent`)}
              change={(maxWorsePercent) => set({ ...row, maxWorsePercent })}
            />
            <button type="button" class="button" onClick={() => change(rows.filter(({ id }) => id !== row.id))}>
              {texts.remove(name)}
            </button>
          </div>
        );
      })}
      {rows.length < MAX_ROWS && (
        <button
          type="button"
          class="button"
          onClick={() => change([...rows, { id: nextId(rows), metric: '', worse: 'HIGHER', maxWorsePercent: '0' }])}
        >
          {texts.addGuardrail}
        </button>
      )}
    </fieldset>
  );
}
