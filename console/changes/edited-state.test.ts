import { expect, test } from '@jest/globals';
import { appliedAgain, begun, isNews, isTouched } from './edited-state.ts';

interface Thing {
  readonly name: string;
  readonly kinds: readonly string[];
  readonly updatedAt: number;
}
interface Draft {
  readonly name: string;
  readonly kinds: readonly string[];
}
const kind = {
  draftOf: ({ name, kinds }: Thing): Draft => ({ name, kinds }),
  contentOf: ({ name, kinds }: Thing) => ({ name, kinds }),
};
const fresh = (): Draft => ({ name: '', kinds: [] });
const THING: Thing = { name: 'Old', kinds: ['A', 'B'], updatedAt: 1 };
const typed = (draft: Partial<Draft>) => {
  const edited = begun(THING, kind, fresh);
  return { ...edited, draft: { ...edited.draft, ...draft } };
};

test('a form begins with its thing or afresh, and is touched once something else stands in it', () => {
  expect(begun(null, kind, fresh)).toEqual({ base: null, began: fresh(), draft: fresh() });
  expect(begun(THING, kind, fresh).draft).toEqual({ name: 'Old', kinds: ['A', 'B'] });
  expect([isTouched(begun(THING, kind, fresh)), isTouched(typed({ name: 'Mine' }))]).toEqual([false, true]);
});

test('another content is news, as are an end and a beginning; another time of the same content is none', () => {
  expect(isNews(THING, { ...THING, updatedAt: 2 }, kind)).toBe(false);
  expect(isNews(THING, { ...THING, name: 'Theirs' }, kind)).toBe(true);
  expect([isNews(THING, null, kind), isNews(null, THING, kind), isNews(null, null, kind)]).toEqual([true, true, false]);
});

test('what the form has and the content leaves out is news, too, and the other way around', () => {
  const now = { ...THING, kinds: ['A', 'C'] };
  expect(isNews(THING, now, { ...kind, contentOf: ({ kinds }) => ({ number: kinds.length }) })).toBe(true);
  expect(isNews(THING, now, { ...kind, draftOf: ({ name }) => ({ name, kinds: [] }) })).toBe(true);
});

test('what was typed stays on top of what somebody else has changed, and counts as typed against that', () => {
  const now = { name: 'Theirs', kinds: ['B', 'D'], updatedAt: 2 };
  const applied = appliedAgain(typed({ kinds: ['A', 'B', 'C'] }), now, kind);
  expect(applied).toEqual({
    base: now,
    began: { name: 'Theirs', kinds: ['B', 'D'] },
    draft: { name: 'Theirs', kinds: ['B', 'D', 'C'] },
  });
  expect([isNews(applied.base, now, kind), isTouched(applied)]).toEqual([false, true]);
});

test('a form whose thing is gone keeps all that stands in it, for a new thing', () => {
  const mine = typed({ name: 'Mine' });
  expect(appliedAgain(mine, null, kind)).toEqual({ ...mine, base: null });
});

test('a kind may merge by itself', () => {
  const merged = (base: Draft, mine: Draft, now: Draft) => ({
    ...now,
    name: [base, mine, now].map((one) => one.name).join(),
  });
  const { draft } = appliedAgain(typed({ name: 'Mine' }), { ...THING, name: 'Theirs' }, { ...kind, merged });
  expect(draft.name).toBe('Old,Mine,Theirs');
});
