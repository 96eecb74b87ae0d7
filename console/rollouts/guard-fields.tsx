/** The fields of a rollout's guard. Metrics that are declared, or that vehicles measure for the flag, are proposed. */
import { useId } from 'preact/hooks';
import { useQuery } from '../api/use-query.ts';
import { MetricsToChooseDocument } from '../generated/operations.ts';
import { Select } from '../parts/select.tsx';
import { Suggestions } from '../parts/suggestions.tsx';
import { TextField } from '../parts/text-field.tsx';
import { useWords } from '../words/language.ts';
import type { GuardDraft } from './plan.ts';

interface GuardFieldsProps {
  readonly flagKey: string;
  readonly guard: GuardDraft;
  readonly change: (guard: GuardDraft) => void;
  /** Gives what is wrong with a member of the guard. */
  readonly wrongAt: (member: string) => string | null;
}

/** Gives the metrics that are declared, and the names that may be chosen. Without an answer there are none. */
export function useMetricChoice(flagKey: string | null) {
  const { data } = useQuery(MetricsToChooseDocument, flagKey === null ? null : { key: flagKey });
  const declared = data?.metricDefinitions ?? [];
  const names = new Set([...(data?.flag?.metricNames ?? []), ...declared.map(({ key }) => key)]);
  return {
    declared: new Map(declared.map((one) => [one.key, one])),
    names: [...names].sort(),
    isLoaded: data !== null,
  };
}

/** Shows the fields of a guard. `change` gets the guard as it is after each input. */
export function GuardFields({ flagKey, guard, change, wrongAt }: GuardFieldsProps) {
  const { words } = useWords();
  const texts = words.rollouts;
  const { declared, names, isLoaded } = useMetricChoice(flagKey);
  const list = useId();
  const name = guard.metric.trim();
  const text = (
    member: keyof GuardDraft,
    label: string,
    path: string,
    { hint, list: proposals }: { hint?: string; list?: string } = {},
  ) => (
    <TextField
      label={label}
      wrong={wrongAt(path)}
      {...(hint !== undefined && { hint })}
      isCode
      {...(proposals !== undefined && { list: proposals })}
      value={guard[member]}
      onType={(text) => change({ ...guard, [member]: text })}
    />
  );
  const hint = isLoaded && name !== '' && !declared.has(name) ? texts.undeclared : texts.metricHint;
  return (
    <fieldset class="fieldset">
      <legend>{texts.guard}</legend>
      <div class="field-row">
        {text('metric', texts.metric, 'metric', { hint, list })}
        <Suggestions id={list} known={names.map((key) => ({ key }))} />
        <Select
          label={texts.worse}
          value={guard.worse}
          options={(['HIGHER', 'LOWER'] as const).map((one) => [one, texts.worseIs[one]])}
          onChoose={(worse) => change({ ...guard, worse: worse ?? 'HIGHER' })}
        />
        <Select
          label={texts.limitKind}
          value={guard.limitKind}
          options={(['percent', 'bound'] as const).map((one) => [one, texts.limitKinds[one]])}
          onChoose={(limitKind) => change({ ...guard, limitKind: limitKind ?? 'percent' })}
        />
        {guard.limitKind === 'percent'
          ? text('limit', texts.limitPercent, 'maxWorsePercent')
          : text('limit', texts.limitBound, 'bound')}
        {text('confidence', texts.confidence, 'confidenceLevel', { hint: texts.confidenceHint })}
        {text('minimumVehicles', texts.minimumVehicles, 'minimumVehicles')}
        {text('silenceMinutes', texts.silence, 'silence')}
        {text('watchForHours', texts.watchFor, 'watchFor')}
      </div>
    </fieldset>
  );
}
