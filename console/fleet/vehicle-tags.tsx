/** The tags of a vehicle, by which segments select it: shown, and changed. */
import { useState } from 'preact/hooks';
import { useChange } from '../api/use-query.ts';
import { SetVehicleTagsDocument } from '../generated/operations.ts';
import type { TargetedSubmitEvent } from '../navigation/events.ts';
import { ListField } from '../parts/list-field.tsx';
import { FaultNotice } from '../parts/parts.tsx';
import { may, sessionState } from '../session/session.ts';
import { useStore } from '../store.ts';
import { useWords } from '../words/language.ts';

interface TagsProps {
  readonly vin: string;
  readonly tags: readonly string[];
  readonly done: () => void;
}

export function VehicleTags({ vin, tags, done }: TagsProps) {
  const { words } = useWords();
  const { session } = useStore(sessionState);
  const [typed, setTyped] = useState(tags);
  const [save, { sending, fault }] = useChange(SetVehicleTagsDocument, done);
  const submit = (event: TargetedSubmitEvent) => {
    event.preventDefault();
    const add = typed.filter((tag) => !tags.includes(tag));
    const remove = tags.filter((tag) => !typed.includes(tag));
    save({ input: [{ vin, add, remove }] });
  };
  return (
    <section class="panel" aria-labelledby="tags-title">
      <h2 id="tags-title">{words.scopes.tags}</h2>
      {!may(session, 'change') && <p>{tags.length === 0 ? words.scopes.noTags : tags.join(', ')}</p>}
      {may(session, 'change') && (
        <form class="form" onSubmit={submit}>
          <ListField
            label={words.scopes.changeTags}
            hint={words.scopes.tagsHint}
            wrong={null}
            items={typed}
            known={[]}
            onItems={setTyped}
          />
          {fault !== null && <FaultNotice fault={fault} />}
          <div class="buttons">
            <button type="submit" class="button" disabled={sending}>
              {words.scopes.saveTags}
            </button>
          </div>
        </form>
      )}
    </section>
  );
}
