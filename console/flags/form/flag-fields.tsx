/** The fields of a flag's form. */
import { useState } from 'preact/hooks';
import { ENVIRONMENTS } from '../../api/environments.ts';
import { useQuery } from '../../api/use-query.ts';
import { FleetNamesDocument, type FlagType } from '../../generated/operations.ts';
import { ListField } from '../../parts/list-field.tsx';
import { LongTextField } from '../../parts/long-text-field.tsx';
import { Select } from '../../parts/select.tsx';
import { TextField } from '../../parts/text-field.tsx';
import { ValueField } from '../rules/value-field.tsx';
import { useFlagSuggestions } from '../flag-suggestions.ts';
import { useWords } from '../../words/language.ts';
import { ACTIVATIONS, KILL_ACTIVATIONS, type FlagDraft } from './flag-draft.ts';
import { SAFETY_LEVELS } from '../flag-filter.ts';

interface FlagFieldsProps {
  readonly draft: FlagDraft;
  readonly type: FlagType;
  readonly wrongAt: (path: string) => string | null;
  readonly onDraft: (draft: FlagDraft) => void;
}

/** The fields of a flag that is new or is changed. */
export function FlagFields({ draft, type, wrongAt, onDraft }: FlagFieldsProps) {
  const { words } = useWords();
  const { data } = useQuery(FleetNamesDocument, {});
  const [typed, setTyped] = useState('');
  // A requirement may name variants after a colon.
  const flags = useFlagSuggestions(typed.split(':')[0] ?? '', draft.environment);
  const suggested = { known: flags.map(({ key }) => key), labels: new Map(flags.map(({ key, name }) => [key, name])) };
  return (
    <>
      <TextField
        label={words.forms.name}
        wrong={wrongAt('name')}
        required
        maxLength={200}
        value={draft.name}
        onType={(name) => onDraft({ ...draft, name })}
      />
      <LongTextField
        label={words.forms.description}
        hint={words.forms.descriptionHint}
        wrong={wrongAt('description')}
        rows={4}
        value={draft.description}
        onType={(description) => onDraft({ ...draft, description })}
      />
      <ValueField
        label={words.forms.defaultValue}
        hint={words.forms.defaultHint}
        type={type}
        text={draft.value}
        wrong={wrongAt('defaultValue')}
        onText={(value) => onDraft({ ...draft, value })}
      />
      <LongTextField
        label={words.fields.valueSchema}
        hint={words.forms.contractHint}
        wrong={wrongAt('valueSchema')}
        isCode
        rows={5}
        value={draft.contract}
        onType={(contract) => onDraft({ ...draft, contract })}
      />
      <Select
        label={words.safetyLevel}
        value={draft.safetyLevel}
        options={SAFETY_LEVELS.map((level) => [level, words.levels[level]])}
        onChoose={(level) => onDraft({ ...draft, safetyLevel: level ?? draft.safetyLevel })}
      />
      <Select
        label={words.environment}
        value={draft.environment}
        options={ENVIRONMENTS.map((one) => [one, words.environments[one]])}
        onChoose={(one) => onDraft({ ...draft, environment: one ?? draft.environment })}
      />
      <Select
        label={words.fields.activation}
        value={draft.activation}
        options={ACTIVATIONS.map((one) => [one, words.forms.activations[one]])}
        onChoose={(one) => onDraft({ ...draft, activation: one ?? draft.activation })}
      />
      <Select
        label={words.fields.killActivation}
        value={draft.killActivation}
        options={KILL_ACTIVATIONS.map((one) => [one, words.forms.activations[one]])}
        onChoose={(one) => onDraft({ ...draft, killActivation: one ?? draft.killActivation })}
      />
      <ListField
        label={words.scopes.scope}
        hint={words.scopes.scopeHint}
        wrong={wrongAt('scope')}
        items={draft.scope}
        known={(data?.fleet.byModel ?? []).map(({ key }) => key)}
        onItems={(scope) => onDraft({ ...draft, scope })}
      />
      <ListField
        label={words.scopes.requires}
        hint={words.scopes.requiresHint}
        wrong={wrongAt('requires')}
        items={draft.requires}
        {...suggested}
        onTyped={setTyped}
        onItems={(requires) => onDraft({ ...draft, requires })}
      />
      <ListField
        label={words.scopes.excludes}
        hint={words.scopes.excludesHint}
        wrong={wrongAt('excludes')}
        items={draft.excludes}
        {...suggested}
        onTyped={setTyped}
        onItems={(excludes) => onDraft({ ...draft, excludes })}
      />
    </>
  );
}
