/** The form of a segment, with whom a change concerns, and with what somebody else has changed meanwhile. */
import { useEffect, useLayoutEffect, useState } from 'preact/hooks';
import { faultAt } from '../api/fault-fields.ts';
import { publish } from '../api/live.ts';
import { useChange, useQuery } from '../api/use-query.ts';
import { AudienceChangeTable } from '../changes/audience-change.tsx';
import { ConflictNotice } from '../changes/conflict-notice.tsx';
import { SaveSegmentDocument, SegmentPreviewDocument, type OneSegmentQuery } from '../generated/operations.ts';
import { isSameJson } from '../json.ts';
import type { TargetedSubmitEvent } from '../navigation/events.ts';
import { flagPath, segmentPath } from '../navigation/paths.ts';
import { Link, goTo } from '../navigation/router.tsx';
import { CheckField } from '../parts/check-field.tsx';
import { keptForms, useKeptForm } from '../parts/kept-forms.ts';
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
const contentOf = (segment: Segment | null): object =>
  segment === null ? {} : { name: segment.name, conditions: segment.conditions };

/** A segment's form that was left: what was typed, and the segment as the form began with it. */
const left = keptForms<{ readonly typedKey: string; readonly draft: SegmentDraft; readonly base: Segment | null }>();

interface FormProps {
  /** Null: a new segment. */
  readonly segmentKey: string | null;
  /** The segment as it is; null where there is none, or no longer. */
  readonly segment: Segment | null;
  /** Asks for the segment again. */
  readonly refresh?: () => void;
}

export function SegmentForm({ segmentKey, segment: now, refresh }: FormProps) {
  const { words } = useWords();
  const kept = useKeptForm(left, segmentKey ?? '');
  const [typedKey, setKey] = useState(kept.left?.typedKey ?? '');
  const [base, setBase] = useState(kept.left === undefined ? now : kept.left.base);
  const [draft, setDraft] = useState(() => kept.left?.draft ?? segmentDraftOf(now ?? undefined));
  const [shown, setShown] = useState<object | null>(null);
  const [force, setForce] = useState(false);
  const [outcome, setOutcome] = useState<'saved' | 'waits' | null>(null);
  const key = segmentKey ?? typedKey.trim();
  const [save, { sending, fault, forget }] = useChange(SaveSegmentDocument, ({ saveSegment }) => {
    setOutcome(saveSegment.applied ? 'saved' : 'waits');
    for (const flag of saveSegment.flags) publish({ about: 'flag', key: flag.key });
    if (!saveSegment.applied) publish({ about: 'request' });
    else if (segmentKey === null) goTo(segmentPath(key));
    refresh?.();
  });
  const isConflict = fault?.code === 'CONFLICT' && fault.field === null;
  useEffect(() => {
    if (isConflict) refresh?.();
  }, [isConflict]);
  // What this person has just saved is no news to them.
  const isOwn = (sending || outcome === 'saved') && now?.updatedBy?.id === sessionState.get().session?.userId;
  useEffect(() => {
    if (isOwn) setBase(now);
  }, [isOwn, now]);
  const hasChanged = !isOwn && base?.updatedAt !== now?.updatedAt && !isSameJson(contentOf(base), contentOf(now));
  useLayoutEffect(() => {
    const isTouched = typedKey !== '' || !isSameJson(draft, segmentDraftOf(base ?? undefined));
    kept.keep({ typedKey, draft, base }, outcome === null && isTouched);
  });
  const choose = (next: typeof draft) => {
    setDraft(next);
    setShown(null);
    setOutcome(null);
    forget();
  };
  const submit = (event: TargetedSubmitEvent) => {
    event.preventDefault();
    const seen = now === null ? { isNew: true } : { expectedUpdatedAt: now.updatedAt };
    save({ key, name: draft.name.trim(), conditions: conditionsOf(draft), force, ...seen });
  };
  return (
    <>
      {hasChanged && (
        <ConflictNotice
          title={words.segment.changedMeanwhile}
          base={contentOf(base)}
          now={contentOf(now)}
          apply={() => {
            choose(now === null ? draft : mergedSegment(segmentDraftOf(base ?? undefined), draft, segmentDraftOf(now)));
            setBase(now);
          }}
        />
      )}
      {kept.left !== undefined && <p class="notice">{words.forms.restored}</p>}
      <form class="form panel" onSubmit={submit}>
        {segmentKey === null && (
          <TextField
            label={words.segment.key}
            hint={words.segment.keyHint}
            wrong={faultAt(fault, 'key')}
            required
            maxLength={100}
            value={typedKey}
            onType={(next) => {
              setKey(next);
              forget();
            }}
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
          <Link to="/segments" class="button" onOpen={kept.discard}>
            {words.forms.discard}
          </Link>
        </div>
      </form>
      {shown !== null && <Preview segmentKey={key} conditions={shown} />}
    </>
  );
}
