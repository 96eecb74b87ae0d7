/** The form of a segment, with whom a change concerns, and with what somebody else has changed meanwhile. */
import { useEffect, useRef, useState } from 'preact/hooks';
import { faultAt } from '../api/fault-fields.ts';
import { publish } from '../api/live.ts';
import { useChange, useQuery } from '../api/use-query.ts';
import { AudienceChangeTable } from '../changes/audience-change.tsx';
import { EditedNotices, useEditedForm } from '../changes/edited-form.tsx';
import type { Edited } from '../changes/edited-state.ts';
import { SaveSegmentDocument, SegmentPreviewDocument, type OneSegmentQuery } from '../generated/operations.ts';
import type { TargetedSubmitEvent } from '../navigation/events.ts';
import { flagPath, segmentPath } from '../navigation/paths.ts';
import { Link, goTo } from '../navigation/router.tsx';
import { CheckField } from '../parts/check-field.tsx';
import { keptForms } from '../parts/kept-forms.ts';
import { FaultNotice, Loading } from '../parts/parts.tsx';
import { TextField } from '../parts/text-field.tsx';
import { sessionState } from '../session/session.ts';
import { useWords } from '../words/language.ts';
import { conditionsOf, mergedSegment, segmentDraftOf, type SegmentDraft } from './segment-draft.ts';
import { SegmentFields } from './segment-fields.tsx';

export type Segment = NonNullable<OneSegmentQuery['segment']>;

interface PreviewProps {
  readonly segmentKey: string;
  readonly conditions: object;
}

/** Shows whom a change concerns: who belongs to the segment before and after, and what each flag makes of it. */
function Preview({ segmentKey, conditions }: PreviewProps) {
  const { words, formats } = useWords();
  const { data, fault, refresh } = useQuery(SegmentPreviewDocument, { key: segmentKey, conditions });
  const preview = data?.previewSegment;
  const members = ({ matched, total }: { readonly matched: number; readonly total: number }) =>
    words.segment.members(formats.number(matched), formats.number(total));
  return (
    <section class="panel" aria-labelledby="preview-title">
      <h2 id="preview-title">{words.segment.audience}</h2>
      {fault !== null && <FaultNotice fault={fault} retry={refresh} />}
      {preview === undefined && fault === null && <Loading />}
      {preview !== undefined && (
        <>
          <dl class="facts">
            <div>
              <dt>{words.before}</dt>
              <dd>
                {preview.before === null || preview.before === undefined ? words.nothing : members(preview.before)}
              </dd>
            </div>
            <div>
              <dt>{words.after}</dt>
              <dd>{members(preview.after)}</dd>
            </div>
          </dl>
          {preview.changes.map(({ flag, preview: { audience } }) => (
            <div key={flag.key}>
              <h3>
                <Link to={flagPath(flag.key)}>{flag.name}</Link>
              </h3>
              <AudienceChangeTable change={audience} />
            </div>
          ))}
          {preview.flagCount > preview.changes.length && (
            <p class="quiet">{words.others(formats.number(preview.flagCount - preview.changes.length))}</p>
          )}
        </>
      )}
    </section>
  );
}

/** Gives the part of a segment that people decide on. */
const contentOf = ({ name, conditions }: Segment): object => ({ name, conditions });

/** The members that are typed into the form. */
interface TypedSegment {
  readonly key: string;
  readonly content: SegmentDraft;
}

const draftOf = (segment: Segment): TypedSegment => ({ key: segment.key, content: segmentDraftOf(segment) });
const merged = (base: TypedSegment, mine: TypedSegment, now: TypedSegment): TypedSegment => ({
  key: mine.key,
  content: mergedSegment(base.content, mine.content, now.content),
});

/** The forms of segments that were left. */
const leftForms = keptForms<Edited<Segment, TypedSegment>>();

interface FormProps {
  /** Null: a new segment. */
  readonly segmentKey: string | null;
  /** The segment as it is; null where there is none, or no longer. */
  readonly segment: Segment | null;
  /** Asks for the segment again. */
  readonly refresh?: () => void;
}

/** The form of a segment that is new or is changed. */
export function SegmentForm({ segmentKey, segment: now, refresh }: FormProps) {
  const { words } = useWords();
  const [shown, setShown] = useState<object | null>(null);
  const [force, setForce] = useState(false);
  const [outcome, setOutcome] = useState<'saved' | 'waits' | null>(null);
  const expected = useRef<string | null>(null);
  /** The `updatedAt` that the last save has replaced, null for none; undefined once the segment has been read again. */
  const [replaced, setReplaced] = useState<string | null | undefined>();
  const [save, change] = useChange(SaveSegmentDocument, ({ saveSegment }) => {
    setOutcome(saveSegment.applied ? 'saved' : 'waits');
    for (const flag of saveSegment.flags) publish({ about: 'flag', key: flag.key });
    if (!saveSegment.applied) publish({ about: 'request' });
    else if (segmentKey === null) {
      form.discard();
      goTo(segmentPath(key));
    } else setReplaced(expected.current);
    refresh?.();
  });
  const { sending, fault } = change;
  // What this person has just saved is no news to them, also when they type on before it has been read again.
  const isOwn = (sending || replaced !== undefined) && now?.updatedBy?.id === sessionState.get().session?.userId;
  useEffect(() => {
    if ((now?.updatedAt ?? null) !== replaced) setReplaced(undefined);
  }, [now, replaced]);
  const form = useEditedForm<Segment, TypedSegment>({
    ...{ leftForms, about: segmentKey ?? '', now, draftOf, contentOf, merged, change, refresh },
    fresh: () => ({ key: '', content: segmentDraftOf() }),
    isDone: outcome !== null,
    isOwn,
  });
  const { hasChanged } = form;
  const draft = form.draft.content;
  const key = segmentKey ?? form.draft.key.trim();
  const choose = (next: SegmentDraft) => {
    form.choose({ ...form.draft, content: next });
    setShown(null);
    setOutcome(null);
  };
  const submit = (event: TargetedSubmitEvent) => {
    event.preventDefault();
    expected.current = form.seen?.updatedAt ?? null;
    const seen = expected.current === null ? { isNew: true } : { expectedUpdatedAt: expected.current };
    save({ key, name: draft.name.trim(), conditions: conditionsOf(draft), force, ...seen });
  };
  return (
    <>
      <EditedNotices form={form} title={words.segment.changedMeanwhile} />
      <form class="form panel" onSubmit={submit}>
        {segmentKey === null && (
          <TextField
            label={words.segment.key}
            hint={words.segment.keyHint}
            wrong={faultAt(fault, 'key')}
            required
            maxLength={100}
            value={form.draft.key}
            onType={(next) => form.choose({ ...form.draft, key: next })}
          />
        )}
        <TextField
          label={words.forms.name}
          wrong={faultAt(fault, 'name')}
          required
          maxLength={200}
          value={draft.name}
          onType={(name) => choose({ ...draft, name })}
        />
        <SegmentFields draft={draft} fault={fault} onDraft={choose} />
        {fault !== null && <FaultNotice fault={fault} />}
        {(force || fault?.field === 'force') && (
          <CheckField label={words.forms.disturbs} hint={words.forms.disturbsHint} checked={force} onCheck={setForce} />
        )}
        {outcome !== null && (
          <p class="notice" role="status">
            {words.segment[outcome]}
          </p>
        )}
        <div class="buttons">
          <button type="button" class="button" onClick={() => setShown(conditionsOf(draft))}>
            {words.segment.show}
          </button>
          <button type="submit" class="button button-main" disabled={sending || hasChanged}>
            {words.segment.save}
          </button>
          <Link to="/segments" class="button" onOpen={form.discard}>
            {words.forms.discard}
          </Link>
        </div>
      </form>
      {shown !== null && <Preview segmentKey={key} conditions={shown} />}
    </>
  );
}
