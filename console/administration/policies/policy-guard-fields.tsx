/** The fields of the guards of a release policy. The metrics that are declared are proposed. */
import { useQuery } from '../../api/use-query.ts';
import { DeclaredMetricsDocument } from '../../generated/operations.ts';
import { Select } from '../../parts/select.tsx';
import { TextField } from '../../parts/text-field.tsx';
import { useAdministrationWords } from '../../words/use-administration-words.ts';
import { newPolicyGuard, type TypedPolicyGuard } from './policy-guard.ts';

interface OneGuardProps {
  readonly guard: TypedPolicyGuard;
  /** Counts from 0. */
  readonly index: number;
  readonly metrics: readonly string[];
  readonly wrongAt: (path: string) => string | null;
  readonly change: (guard: TypedPolicyGuard) => void;
  readonly remove: () => void;
}

function OneGuard({ guard, index, metrics, wrongAt, change, remove }: OneGuardProps) {
  const { words, own, formats } = useAdministrationWords();
  const texts = words.rollouts;
  const position = formats.number(index + 1);
  const wrong = (member: string) => wrongAt(`guards.${index}.${member}`);
  const members = ['maxWorsePercent', 'bound', 'confidenceLevel', 'minimumVehicles', 'silence'];
  const wholeFault = members.some((member) => wrong(member) !== null) ? null : wrongAt(`guards.${index}`);
  const text = (name: 'limit' | 'confidence' | 'minimumVehicles' | 'silenceMinutes', label: string, member: string) => (
    <TextField
      label={label}
      wrong={wrong(member)}
      value={guard[name]}
      onType={(typed) => change({ ...guard, [name]: typed })}
    />
  );
  return (
    <fieldset class="fieldset">
      <legend>{own.guardOf(position)}</legend>
      <div class="field-row">
        <TextField
          label={texts.metric}
          // A fault of the whole guard, such as a second one of the same kind, is about its metric first.
          wrong={wrong('metric') ?? wholeFault}
          value={guard.metric}
          onType={(metric) => change({ ...guard, metric })}
          known={metrics.map((key) => ({ key, name: '' }))}
        />
        <Select
          label={texts.worse}
          value={guard.worse}
          options={(['HIGHER', 'LOWER'] as const).map((one) => [one, texts.worseIs[one]])}
          onChoose={(worse) => change({ ...guard, worse: worse ?? guard.worse })}
        />
        <Select
          label={texts.limitKind}
          value={guard.limitKind}
          options={(['percent', 'bound'] as const).map((one) => [one, texts.limitKinds[one]])}
          onChoose={(limitKind) => change({ ...guard, limitKind: limitKind ?? guard.limitKind })}
        />
        {guard.limitKind === 'percent'
          ? text('limit', texts.limitPercent, 'maxWorsePercent')
          : text('limit', texts.limitBound, 'bound')}
        <Select
          label={own.guardAction}
          value={guard.action}
          options={(['HALT', 'HOLD'] as const).map((one) => [one, own.guardActions[one]])}
          onChoose={(action) => change({ ...guard, action: action ?? guard.action })}
        />
        {text('confidence', texts.confidence, 'confidenceLevel')}
        {text('minimumVehicles', own.guardVehicles, 'minimumVehicles')}
        {text('silenceMinutes', own.guardSilence, 'silence')}
      </div>
      <button type="button" class="button button-plain" onClick={remove}>
        {own.removeGuard(position)}
      </button>
    </fieldset>
  );
}

interface PolicyGuardFieldsProps {
  readonly guards: readonly TypedPolicyGuard[];
  readonly wrongAt: (path: string) => string | null;
  readonly onGuards: (guards: readonly TypedPolicyGuard[]) => void;
}

/** Shows the guards of a draft, and a button that adds one. `onGuards` gets them after each input. */
export function PolicyGuardFields({ guards, wrongAt, onGuards }: PolicyGuardFieldsProps) {
  const { own } = useAdministrationWords();
  const { data } = useQuery(DeclaredMetricsDocument, {});
  const metrics = (data?.metricDefinitions ?? []).map(({ key }) => key);
  const nextId = Math.max(-1, ...guards.map(({ id }) => id)) + 1;
  return (
    <>
      <p class="quiet">{own.guardsHint}</p>
      {guards.map((guard, index) => (
        <OneGuard
          key={guard.id}
          guard={guard}
          index={index}
          metrics={metrics}
          wrongAt={wrongAt}
          change={(next) => onGuards(guards.map((one) => (one.id === next.id ? next : one)))}
          remove={() => onGuards(guards.filter(({ id }) => id !== guard.id))}
        />
      ))}
      <div class="buttons">
        <button type="button" class="button" onClick={() => onGuards([...guards, newPolicyGuard(nextId)])}>
          {own.addGuard}
        </button>
      </div>
    </>
  );
}
