/** The forms of the console: each keeps what was typed, and each that does is filled in by a test in a browser. */
import { readFileSync, readdirSync } from 'node:fs';
import { expect, test } from '@jest/globals';
import { CHANGE_FORMS, NEW_FORMS } from '../../e2e/console/form-cases.ts';
import { REPOSITORY } from '../testing/sources.ts';

/** The files with fields of a form whose text another file keeps, and that file. */
const FIELDS: Readonly<Record<string, string>> = {
  'console/administration/webhooks/webhook-form.tsx': 'console/administration/webhooks/webhook-page.tsx',
};
/** The forms whose text is not kept, and why. */
const NOT_KEPT: Readonly<Record<string, string>> = {
  'console/administration/accounts/accounts-page.tsx': 'What is searched for stands in the address.',
  'console/administration/accounts/password-page.tsx': 'It has nothing but passwords.',
  'console/audit/audit-filters.tsx': 'What is searched for stands in the address.',
  'console/flags/flags-page.tsx': 'What is searched for stands in the address.',
  'console/flags/why-value.tsx': 'It is a question, and changes nothing.',
  'console/fleet/vehicle-list.tsx': 'What is searched for stands in the address.',
  'console/fleet/vehicle-tokens.tsx': 'It is a dialog with a choice and a number, and gives a secret.',
  'console/flags/kill/stop-form.tsx': 'A kill switch is pulled at once or not at all.',
  'console/administration/operations/operations-page.tsx': 'What is searched for stands in the address.',
  'console/parts/reason-dialog.tsx': 'It is a dialog, which asks for a reason and closes with its page.',
  'console/parts/confirm-dialog.tsx': 'It is a dialog, which asks before an act and closes with its page.',
  'console/session/sign-in.tsx': 'It has a password.',
};
/** The forms that a suite of their own fills in, since they are not about what is stored. */
const ELSEWHERE: Readonly<Record<string, string>> = {
  'console/rollouts/plan-page.tsx': 'e2e/console/two-people.long.test.ts',
};

const sources = new Map(
  readdirSync(`${REPOSITORY}console`, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.tsx'))
    .map((name) => [`console/${name}`, readFileSync(`${REPOSITORY}console/${name}`, 'utf8')]),
);
/** Gives how often a text is in a source. */
const count = (path: string, text: string) => (sources.get(path) ?? '').split(text).length - 1;
const cases = [...CHANGE_FORMS, ...NEW_FORMS];

test('each form keeps what was typed, or says here why it does not', () => {
  const withForms = [...sources.keys()].filter((path) => count(path, '<form') > 0);
  expect(withForms.length).toBeGreaterThan(20);
  const unkept = withForms.filter((path) => count(FIELDS[path] ?? path, 'keptForms<') === 0);
  expect(unkept.sort()).toEqual(Object.keys(NOT_KEPT).sort());
  expect(Object.keys(FIELDS).filter((path) => count(path, '<form') === 0)).toEqual([]);
});

test('each kind of form that is kept is filled in by a test, with two people where others can change its thing', () => {
  const kept = [...sources.keys()].filter((path) => count(path, 'keptForms<') > 0);
  const covered = [...cases.map(({ file }) => file), ...Object.keys(ELSEWHERE)];
  expect([...new Set(covered)].sort()).toEqual(kept.sort());
  for (const path of kept) {
    const kinds = count(path, 'keptForms<');
    expect([path, covered.filter((one) => one === path).length >= kinds]).toEqual([path, true]);
    // A form about what is stored already compares it with what somebody else has made of it.
    const compares = count(path, 'useEditedForm<') + count(path, 'useBase(') > 0;
    const changes = CHANGE_FORMS.some(({ file }) => file === path);
    expect([path, changes]).toEqual([path, compares && !(path in ELSEWHERE)]);
  }
  for (const suite of Object.values(ELSEWHERE))
    expect(readFileSync(`${REPOSITORY}${suite}`, 'utf8')).toContain('/plan');
});

test('a search is typed into the one field that keeps what is chosen beside it', () => {
  const fields = [...sources.keys()].filter((path) => count(path, 'type="search"') > 0);
  expect(fields).toEqual(['console/parts/search-field.tsx']);
});

test('no draft of a form has a secret', () => {
  const passwords = [...sources].flatMap(([path, source]) =>
    source
      .split('<TextField')
      .slice(1)
      .map((rest) => [path, rest.slice(0, rest.indexOf('/>'))] as const)
      .filter(([, field]) => field.includes('type="password"')),
  );
  expect(passwords.length).toBeGreaterThan(3);
  // A secret has a state of its own; what a draft has is taken by `choose`.
  const kept = passwords.filter(([, field]) => !/onType=\{set[A-Z]\w*\}/.test(field));
  expect(kept).toEqual([]);
});
