/** The fields of a flag's form. */
import { useState } from 'preact/hooks';
import { ENVIRONMENTS } from '../../api/environments.ts';
import { useQuery } from '../../api/use-query.ts';
import { FleetNamesDocument, type FlagType } from '../../generated/operations.ts';
import { ListField } from '../../parts/list-field.tsx';
import { Field } from '../../parts/parts.tsx';
import { Select } from '../../parts/select.tsx';
import { ValueField } from '../../rules/value-field.tsx';
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
      <Field label={words.forms.name} wrong={wrongAt('name')}>
        {(control) => (
          <input
            {...control}
            type="text"
            required
            maxLength={200}
            autocomplete="off"
            value={draft.name}
            onInput={(event) => onDraft({ ...draft, name: event.currentTarget.value })}
          />
        )}
      </Field>
      <Field label={words.forms.description} hint={words.forms.descriptionHint} wrong={wrongAt('description')}>
        {(control) => (
          <textarea
            {...control}
            rows={4}
            value={draft.description}
            onInput={(event) => onDraft({ ...draft, description: event.currentTarget.value })}
          />
        )}
      </Field>
      <ValueField
        label={words.forms.defaultValue}
        hint={words.forms.defaultHint}
        type={type}
        text={draft.value}
        wrong={wrongAt('defaultValue')}
        onText={(value) => onDraft({ ...draft, value })}
      />
      <Field label={words.fields.valueSchema} hint={words.forms.contractHint} wrong={wrongAt('valueSchema')}>
        {(control) => (
          <textarea
            {...control}
            class="code"
            rows={5}
            spellcheck={false}
            value={draft.contract}
            onInput={(event) => onDraft({ ...draft, contract: event.currentTarget.value })}
          />
        )}
      </Field>
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
