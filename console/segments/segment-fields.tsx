/** The fields of a segment's conditions. */
import { faultAt } from '../api/fault-fields.ts';
import type { Fault } from '../api/fault.ts';
import { useQuery } from '../api/use-query.ts';
import { FleetNamesDocument } from '../generated/operations.ts';
import { ListField } from '../parts/list-field.tsx';
import { LongTextField } from '../parts/long-text-field.tsx';
import { TextField } from '../parts/text-field.tsx';
import { vinsIn } from '../flags/rules/rule-draft.ts';
import { useWords } from '../words/language.ts';
import type { SegmentDraft } from './segment-draft.ts';

interface SegmentFieldsProps {
  readonly draft: SegmentDraft;
  readonly fault: Fault | null;
  readonly onDraft: (draft: SegmentDraft) => void;
}

/** The fields of the conditions of a segment. */
export function SegmentFields({ draft, fault, onDraft }: SegmentFieldsProps) {
  const { words, formats } = useWords();
  const { data } = useQuery(FleetNamesDocument, {});
  const names = (counts: readonly { readonly key: string }[] | undefined) => (counts ?? []).map(({ key }) => key);
  const area = (
    member: 'vins' | 'comparisons',
    path: string,
    { label, hint }: { readonly label: string; readonly hint: string },
  ) => (
    <LongTextField
      label={label}
      hint={hint}
      wrong={faultAt(fault, path)}
      isCode
      rows={4}
      value={draft[member]}
      onType={(text) => onDraft({ ...draft, [member]: text })}
    />
  );
  return (
    <>
      <ListField
        label={words.forms.models}
        hint={words.forms.anyOne}
        wrong={faultAt(fault, 'conditions.models')}
        items={draft.models}
        known={names(data?.fleet.byModel)}
        onItems={(models) => onDraft({ ...draft, models })}
      />
      <TextField
        label={words.forms.version}
        hint={words.forms.versionHint}
        wrong={faultAt(fault, 'conditions.sw_version')}
        value={draft.version}
        onType={(version) => onDraft({ ...draft, version })}
      />
      <ListField
        label={words.forms.regions}
        hint={words.forms.anyOne}
        wrong={faultAt(fault, 'conditions.regions')}
        items={draft.regions}
        known={names(data?.fleet.byRegion)}
        onItems={(regions) => onDraft({ ...draft, regions })}
      />
      <ListField
        label={words.scopes.tags}
        hint={words.scopes.tagsHint}
        wrong={faultAt(fault, 'conditions.tags')}
        items={draft.tags}
        known={[]}
        onItems={(tags) => onDraft({ ...draft, tags })}
      />
      {area('vins', 'conditions.vins', {
        label: words.forms.vins,
        hint: words.forms.vinsHint(formats.number(vinsIn(draft.vins).length)),
      })}
      {area('comparisons', 'conditions.all', { label: words.segment.comparisons, hint: words.segment.comparisonsHint })}
    </>
  );
}
