import { expect, it } from '@jest/globals';
import { readAnswerInputs } from './answer-inputs.ts';

const sent = {
  second: 1_764_000_000,
  environments: { production: '7@1' },
  vehicles: { KMHK281HGNU000001: '["EV9"]' },
  flags: { constructor: 'a draft' },
};

it('reads the states that were sent, and no state under a name that every object has', () => {
  const inputs = readAnswerInputs(JSON.parse(JSON.stringify(sent)));
  expect(inputs).toEqual({
    second: 1_764_000_000,
    environments: new Map([['production', '7@1']]),
    vehicles: new Map([['KMHK281HGNU000001', '["EV9"]']]),
    flags: new Map([['constructor', 'a draft']]),
  });
  expect(readAnswerInputs({ ...sent, flags: {} })?.flags.get('constructor')).toBeUndefined();
});

it.each([
  null,
  [],
  { ...sent, second: -1 },
  { ...sent, environments: null },
  { ...sent, environments: { production: 7 } },
  { ...sent, vehicles: undefined },
  { ...sent, flags: [] },
])('inputs read from %j are null', (value) => {
  expect(readAnswerInputs(value)).toBeNull();
});
