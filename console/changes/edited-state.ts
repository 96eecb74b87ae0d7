/**
 * The state of a form about a thing: what was typed, beside the thing as the form began with it and as it is by now.
 */
import { isSameJson } from '../json.ts';
import { mergedDraft } from './merged-draft.ts';

/** A form that is filled in. */
export interface Edited<Thing, Draft> {
  /** The thing as the form began with it; null: a new one. */
  readonly base: Thing | null;
  /** The draft that the form began with. */
  readonly began: Draft;
  readonly draft: Draft;
}

/** The way in which things of one kind stand in their form. */
export interface FormKind<Thing, Draft> {
  readonly draftOf: (thing: Thing) => Draft;
  /** Gives what a person compares, with the names by which they know it. */
  readonly contentOf: (thing: Thing) => object;
  /** Makes the forms of two people one. Absent: member by member. */
  readonly merged?: (base: Draft, mine: Draft, now: Draft) => Draft;
}

/** Gives a form that nobody has touched yet. @param fresh what the form of a new thing begins with */
export function begun<Thing, Draft>(
  thing: Thing | null,
  { draftOf }: Pick<FormKind<Thing, Draft>, 'draftOf'>,
  fresh: () => Draft,
): Edited<Thing, Draft> {
  const began = thing === null ? fresh() : draftOf(thing);
  return { base: thing, began, draft: began };
}

/** Whether something was typed that can be lost. */
export const isTouched = <Thing, Draft>({ began, draft }: Edited<Thing, Draft>): boolean => !isSameJson(began, draft);

/**
 * Whether the thing says something else by now than the form began with. A new `updatedAt` alone is no news. The
 * content may have less than the form, as where it counts vehicles, or more.
 */
export function isNews<Thing, Draft>(
  base: Thing | null,
  now: Thing | null,
  { draftOf, contentOf }: FormKind<Thing, Draft>,
): boolean {
  if (base === null || now === null) return base !== now;
  return !isSameJson(contentOf(base), contentOf(now)) || !isSameJson(draftOf(base), draftOf(now));
}

/** Gives the form on top of the thing as it is by now: what was typed stays. */
export function appliedAgain<Thing, Draft extends object>(
  edited: Edited<Thing, Draft>,
  now: Thing | null,
  { draftOf, merged = mergedDraft }: FormKind<Thing, Draft>,
): Edited<Thing, Draft> {
  if (now === null) return { ...edited, base: null };
  const present = draftOf(now);
  return { base: now, began: present, draft: merged(edited.began, edited.draft, present) };
}
