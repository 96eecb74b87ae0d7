/** The rows of a form for metrics beside the primary one: secondary metrics and guardrails. */
import type { ComponentChildren } from 'preact';
import type { GuardDirection } from '../generated/operations.ts';
import { Select } from '../parts/select.tsx';
import { TextField } from '../parts/text-field.tsx';
import { useWords } from '../words/language.ts';
import type { GuardrailDraft, SecondaryDraft } from './draft.ts';

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

interface MetricRowsProps<Row> extends RowsProps<Row> {
  readonly legend: string;
  /** Gives the name of the metric at a position, which counts from 1. */
  readonly nameAt: (position: string) => string;
  readonly add: string;
  /** Gives the row that the button adds. */
  readonly fresh: (id: number) => Row;
  /** Gives the fields beside the metric. */
  readonly fields: (row: Row, set: (row: Row) => void, index: number) => ComponentChildren;
}

function MetricRows<Row extends { readonly id: number; readonly metric: string }>(props: MetricRowsProps<Row>) {
  const { rows, change, list, wrongAt, legend, nameAt, add, fresh, fields } = props;
  const { words, formats } = useWords();
  const set = (row: Row) => change(rows.map((one) => (one.id === row.id ? row : one)));
  return (
    <fieldset class="fieldset">
      <legend>{legend}</legend>
      {rows.map((row, index) => {
        const name = nameAt(formats.number(index + 1));
        return (
          <div key={row.id} class="field-row">
            <TextField
              label={name}
              isCode
              list={list}
              wrong={wrongAt(`${index}.metric`)}
              value={row.metric}
              onType={(metric) => set({ ...row, metric })}
            />
            {fields(row, set, index)}
            <button type="button" class="button" onClick={() => change(rows.filter(({ id }) => id !== row.id))}>
              {words.experiments.remove(name)}
            </button>
          </div>
        );
      })}
      {rows.length < MAX_ROWS && (
        <button type="button" class="button" onClick={() => change([...rows, fresh(nextId(rows))])}>
          {add}
        </button>
      )}
    </fieldset>
  );
}

/** The rows of the secondary metrics. */
export function SecondaryRows(props: RowsProps<SecondaryDraft>) {
  const { words } = useWords();
  const texts = words.experiments;
  return (
    <MetricRows<SecondaryDraft>
      {...props}
      legend={texts.secondary}
      nameAt={texts.metricOf}
      add={texts.addSecondary}
      fresh={(id) => ({ id, metric: '', better: 'HIGHER' })}
      fields={(row, set) => (
        <Select
          label={texts.better}
          value={row.better}
          options={DIRECTIONS.map((one) => [one, texts.betterIs[one]])}
          onChoose={(better) => set({ ...row, better: better ?? 'HIGHER' })}
        />
      )}
    />
  );
}

/** The rows of the guardrails. */
export function GuardrailRows(props: RowsProps<GuardrailDraft>) {
  const { words } = useWords();
  const texts = words.experiments;
  return (
    <MetricRows<GuardrailDraft>
      {...props}
      legend={texts.guardrails}
      nameAt={texts.guardrailOf}
      add={texts.addGuardrail}
      fresh={(id) => ({ id, metric: '', worse: 'HIGHER', maxWorsePercent: '0' })}
      fields={(row, set, index) => (
        <>
          <Select
            label={texts.worse}
            value={row.worse}
            options={DIRECTIONS.map((one) => [one, words.rollouts.worseIs[one]])}
            onChoose={(worse) => set({ ...row, worse: worse ?? 'HIGHER' })}
          />
          <TextField
            label={texts.maxWorse}
            isCode
            wrong={props.wrongAt(`${index}.maxWorsePercent`)}
            value={row.maxWorsePercent}
            onType={(maxWorsePercent) => set({ ...row, maxWorsePercent })}
          />
        </>
      )}
    />
  );
}
