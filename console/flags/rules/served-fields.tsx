/** The fields of what a rule serves. */
import type { Flag } from '../../changes/flag-content.ts';
import { Select } from '../../parts/select.tsx';
import { TextField } from '../../parts/text-field.tsx';
import { useWords } from '../../words/language.ts';
import type { RuleDraft } from './rule-draft.ts';
import { ValueField } from './value-field.tsx';

/** The value and the name under which it is measured. */
export function ServedFields({
  draft,
  flag,
  wrongAt,
  onDraft,
}: {
  readonly draft: RuleDraft;
  readonly flag: Flag;
  readonly wrongAt: (path: string) => string | null;
  readonly onDraft: (draft: RuleDraft) => void;
}) {
  const { words } = useWords();
  const { value } = draft;
  const withoutOwn = flag.type === 'BOOLEAN' ? words.forms.ownValues.true : words.forms.ownValues.default;
  return (
    <>
      <Select
        label={words.forms.ownValue}
        value={value.own ? 'own' : 'default'}
        options={[
          ['default', withoutOwn],
          ['own', words.forms.ownValues.own],
        ]}
        onChoose={(next) => onDraft({ ...draft, value: { ...value, own: next === 'own' } })}
      />
      {value.own && (
        <ValueField
          label={words.forms.value}
          type={flag.type}
          text={value.text}
          wrong={wrongAt('value')}
          onText={(text) => onDraft({ ...draft, value: { own: true, text } })}
        />
      )}
      <TextField
        label={words.forms.variant}
        hint={words.forms.variantHint}
        wrong={wrongAt('variant')}
        isCode
        value={draft.variant}
        onType={(variant) => onDraft({ ...draft, variant })}
      />
    </>
  );
}
