/** The forms that were left, by the browser's way back or by a link, with what was typed into them. */
import { useEffect, useRef, useState } from 'preact/hooks';
import { sessionState } from '../session/session.ts';

/** The forms of one kind that were left, by what they are about. */
export type KeptForms<Form> = Map<string, Form>;

const all = new Set<KeptForms<unknown>>();
const person = () => sessionState.get().session?.userId ?? null;

let typedBy = person();
sessionState.subscribe(() => {
  if (person() === typedBy) return;
  typedBy = person();
  // What one person has typed is for nobody else.
  for (const kept of all) kept.clear();
});

/** Makes a place for forms of one kind. They are kept for as long as the tab and its session. */
export function keptForms<Form>(): KeptForms<Form> {
  const kept: KeptForms<Form> = new Map();
  all.add(kept);
  return kept;
}

interface KeptForm<Form> {
  /** The form as it was left; undefined where it was not touched. */
  readonly left: Form | undefined;
  /**
   * Keeps the present form, in a layout effect of each render: another effect may come too late. @param isTouched
   * whether there is anything to lose
   */
  readonly keep: (form: Form, isTouched: boolean) => void;
  /** Forgets the form, which is then left for good. */
  readonly discard: () => void;
}

/** Gives the form about a thing as it was left, and keeps it. Closing the tab with a touched form asks first. */
export function useKeptForm<Form>(kept: KeptForms<Form>, about: string): KeptForm<Form> {
  const [left] = useState(() => kept.get(about));
  const state = useRef<'untouched' | 'touched' | 'discarded'>('untouched');
  useEffect(() => {
    const owner = person();
    const ask = (event: BeforeUnloadEvent) => {
      if (state.current === 'touched' && person() === owner) event.preventDefault();
    };
    addEventListener('beforeunload', ask);
    return () => removeEventListener('beforeunload', ask);
  }, []);
  return {
    left,
    keep(form, isTouched) {
      if (state.current === 'discarded') return;
      state.current = isTouched ? 'touched' : 'untouched';
      if (isTouched) kept.set(about, form);
      else kept.delete(about);
    },
    discard() {
      state.current = 'discarded';
      kept.delete(about);
    },
  };
}
