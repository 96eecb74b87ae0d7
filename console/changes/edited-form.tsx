/** The form of any thing: kept where it is left, and put on top of what somebody else has changed meanwhile. */
import { useEffect, useLayoutEffect, useRef, useState } from 'preact/hooks';
import type { Fault } from '../api/fault.ts';
import { useKeptForm, type KeptForms } from '../parts/kept-forms.ts';
import { useWords } from '../words/language.ts';
import { ConflictNotice } from './conflict-notice.tsx';
import { appliedAgain, begun, isNews, isTouched, type Edited, type FormKind } from './edited-state.ts';

interface EditedFormOptions<Thing, Draft> extends FormKind<Thing, Draft> {
  /** The forms of this kind that were left. No secret is a member of a draft: a component keeps it for itself. */
  readonly leftForms: KeptForms<Edited<Thing, Draft>>;
  /** Names the thing among those of its kind. */
  readonly about: string;
  /** The thing as it is now; null: there is none, or no longer. It is the same object until it is read again. */
  readonly now: Thing | null;
  /** Gives what the form of a new thing begins with. */
  readonly fresh: () => Draft;
  /** The state of the change that the form sends. */
  readonly change: { readonly sending: boolean; readonly fault: Fault | null; readonly forget: () => void };
  /** Reads the thing again; needed where there is one. */
  readonly refresh?: (() => void) | undefined;
  /** Whether nothing that was typed can be lost, as it is stored or waits for approval. */
  readonly isDone?: boolean;
  /** Whether `now` is what this person has just saved. It is no news to them. */
  readonly isOwn?: boolean;
}

/** A form about a thing, with what becomes of it. */
export interface EditedForm<Thing, Draft> {
  readonly draft: Draft;
  /** Takes what is typed. */
  readonly choose: (draft: Draft) => void;
  /** The thing as the person has seen it, whose `updatedAt` a change gives as the expected one; null: a new one. */
  readonly seen: Thing | null;
  /** Whether somebody else has changed the thing, so that nothing may be sent before the person has seen that. */
  readonly hasChanged: boolean;
  /** Whether the form is as it was left before. */
  readonly isRestored: boolean;
  /** The contents before and after a change of somebody else. */
  readonly contents: { readonly base: object; readonly now: object };
  /** Takes over what somebody else has changed, and keeps what was typed. */
  readonly apply: () => void;
  /** Begins the form again with what was saved. */
  readonly settle: (saved: Thing) => void;
  /** Forgets the form, which is then left for good. */
  readonly discard: () => void;
}

/** The part of a form that its fields need, whatever the form is about. */
export type FormFields<Draft> = Omit<EditedForm<unknown, Draft>, 'settle'>;

/** Keeps the form about a thing; see `EditedFormOptions`. */
export function useEditedForm<Thing, Draft extends object>(
  options: EditedFormOptions<Thing, Draft>,
): EditedForm<Thing, Draft> {
  const { leftForms, about, now, fresh, change, refresh, isDone = false, isOwn = false } = options;
  const kept = useKeptForm(leftForms, about);
  const [edited, setEdited] = useState(() => kept.left ?? begun(now, options, fresh));
  // A thing that was read before the form was saved is older than the saved one.
  const [outdated, setOutdated] = useState<Thing | null>(null);
  // Once the form is stored, it is no longer as it was left before.
  const wasStored = useRef(false);
  wasStored.current ||= isDone;
  const { base } = edited;
  const isUpToDate = now === base || (now !== null && now === outdated) || !isNews(base, now, options);
  // Nobody has to decide about a form in which nothing stands but what it began with.
  const follows = now !== null && !isUpToDate && !isTouched(edited);
  const hasChanged = !isUpToDate && !follows && !isOwn && !change.sending;
  useLayoutEffect(() => {
    if (follows) setEdited(begun(now, options, fresh));
    else if (isOwn && now !== null && !isUpToDate) setEdited({ ...edited, base: now, began: options.draftOf(now) });
  }, [follows, isOwn, isUpToDate, now]);
  useLayoutEffect(() => kept.keep(edited, !isDone && isTouched(edited)));
  const isConflict = change.fault?.code === 'CONFLICT';
  // The news of the change may be late, or the stream that brings them down.
  useEffect(() => {
    if (isConflict) refresh?.();
  }, [isConflict]);
  const content = (thing: Thing | null) => (thing === null ? {} : options.contentOf(thing));
  return {
    draft: edited.draft,
    choose: (draft) => {
      setEdited({ ...edited, draft });
      change.forget();
    },
    seen: follows || (isUpToDate && now !== outdated) ? now : base,
    hasChanged,
    isRestored: kept.left !== undefined && !wasStored.current && isTouched(edited),
    contents: { base: content(base), now: content(now) },
    apply: () => {
      setEdited(appliedAgain(edited, now, options));
      change.forget();
    },
    settle: (saved) => {
      wasStored.current = true;
      setOutdated(now);
      setEdited(begun<Thing, Draft>(saved, options, fresh));
    },
    discard: kept.discard,
  };
}

/** The same for a form by which a thing is made, and that nobody else can change. */
export const useNewForm = <Draft extends object>(
  options: Pick<EditedFormOptions<null, Draft>, 'leftForms' | 'fresh' | 'change' | 'isDone'> & {
    readonly about?: string;
  },
): EditedForm<null, Draft> =>
  useEditedForm<null, Draft>({
    ...{ about: '', now: null, draftOf: options.fresh, contentOf: () => ({}) },
    ...options,
  });

interface NoticesProps {
  readonly form: Pick<FormFields<unknown>, 'hasChanged' | 'isRestored' | 'contents' | 'apply'>;
  /** Says what has changed, such as “The segment has changed meanwhile.” A new thing needs none. */
  readonly title?: string;
}

/** Says above a form what somebody else has changed, and that the form is as it was left. */
export function EditedNotices({ form, title }: NoticesProps) {
  const { words } = useWords();
  return (
    <>
      {form.hasChanged && (
        <ConflictNotice
          {...(title !== undefined && { title })}
          base={form.contents.base}
          now={form.contents.now}
          apply={form.apply}
        />
      )}
      {form.isRestored && <p class="notice">{words.forms.restored}</p>}
    </>
  );
}
