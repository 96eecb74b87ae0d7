import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { isKilling, mayKill } from './kill-switch.ts';

/** The values of a member in an edit; undefined leaves it out. */
const enabled = fc.constantFrom(undefined, true, false, null, 'true');
const conditions = fc.constantFrom(
  undefined,
  { force_disabled: true, reason: 'r' },
  { force_disabled: true },
  { force_disabled: false },
  {},
  null,
  [],
);

test('every edit that pulls a kill switch is noticed, whichever members it leaves out', () => {
  fc.assert(
    fc.property(enabled, conditions, fc.boolean(), fc.boolean(), (newEnabled, newConditions, wasEnabled, wasForced) => {
      const before = { type: 'kill_switch', enabled: wasEnabled, conditions: { force_disabled: wasForced } };
      const given = Object.fromEntries(
        Object.entries({ enabled: newEnabled, conditions: newConditions }).filter(([, value]) => value !== undefined),
      );
      if (!isKilling(before) && isKilling({ ...before, ...given })) expect(mayKill(given)).toBe(true);
    }),
  );
});

test.each([
  [{}],
  [{ enabled: false }],
  [{ enabled: false, conditions: { force_disabled: true } }],
  [{ enabled: true, conditions: { force_disabled: false } }],
  [{ enabled: true, conditions: null }],
  [{ conditions: { percentage: 10 } }],
])('%j kills nothing', (edit) => {
  expect(mayKill(edit)).toBe(false);
});
