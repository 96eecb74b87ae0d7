/** The tags of a vehicle, by which segments select it: shown, and changed. */
import { useState } from 'preact/hooks';
import { useChange } from '../api/use-query.ts';
import { EditedNotices, useEditedForm } from '../changes/edited-form.tsx';
import type { Edited } from '../changes/edited-state.ts';
import { SetVehicleTagsDocument } from '../generated/operations.ts';
import type { TargetedSubmitEvent } from '../navigation/events.ts';
import { keptForms } from '../parts/kept-forms.ts';
import { ListField } from '../parts/list-field.tsx';
import { FaultNotice } from '../parts/parts.tsx';
import { may, sessionState } from '../session/session.ts';
import { useStore } from '../store.ts';
import { useWords } from '../words/language.ts';

interface TagsProps {
  readonly vin: string;
  readonly tags: readonly string[];
  /** Reads the vehicle again. */
  readonly refresh: () => void;
}

interface TagsDraft {
  readonly tags: readonly string[];
}

/** The forms of tags that were left. */
const leftForms = keptForms<Edited<readonly string[], TagsDraft>>();

/** The tags of a vehicle, in a form for people who may change them. */
export function VehicleTags({ vin, tags, refresh }: TagsProps) {
  const { words } = useWords();
  const { session } = useStore(sessionState);
  // A tag that is still in the field when it is saved is in the list then, and the field is empty.
  const [round, setRound] = useState(0);
  const [save, change] = useChange(SetVehicleTagsDocument, ({ setVehicleTags: [vehicle] }) => {
    edited.settle(vehicle?.tags ?? tags);
    setRound((before) => before + 1);
    refresh();
  });
  const { sending, fault } = change;
  const edited = useEditedForm<readonly string[], TagsDraft>({
    ...{ leftForms, about: vin, now: tags, change, refresh },
    draftOf: (all) => ({ tags: all }),
    contentOf: (all) => ({ [words.scopes.tags]: all }),
    fresh: () => ({ tags }),
  });
  const typed = edited.draft.tags;
  const submit = (event: TargetedSubmitEvent) => {
    event.preventDefault();
    const expectedTags = edited.seen ?? tags;
    const add = typed.filter((tag) => !expectedTags.includes(tag));
    const remove = expectedTags.filter((tag) => !typed.includes(tag));
    save({ input: [{ vin, add, remove, expectedTags }] });
  };
  return (
    <section class="panel" aria-labelledby="tags-title">
      <h2 id="tags-title">{words.scopes.tags}</h2>
      {!may(session, 'change') && <p>{tags.length === 0 ? words.scopes.noTags : tags.join(', ')}</p>}
      {may(session, 'change') && (
        <form class="form" onSubmit={submit}>
          <EditedNotices form={edited} title={words.scopes.tagsChangedMeanwhile} />
          <ListField
            key={round}
            label={words.scopes.changeTags}
            hint={words.scopes.tagsHint}
            wrong={null}
            items={typed}
            known={[]}
            onItems={(items) => edited.choose({ tags: items })}
          />
          {fault !== null && <FaultNotice fault={fault} />}
          <div class="buttons">
            <button type="submit" class="button" disabled={sending || edited.hasChanged}>
              {words.scopes.saveTags}
            </button>
          </div>
        </form>
      )}
    </section>
  );
}
