import { describe, expect, it, test } from '@jest/globals';
import type { VerifiedDefinition, VerifiedProof } from '../state.ts';
import { assignmentIn, bindingOf, concerns, type BoundVehicle } from './binding.ts';
import { Refusal } from './refusals.ts';

const VIN = 'KMHL14JA5PA000001';
const OPEN = 'A'.repeat(22);
const bound: BoundVehicle['state'] = {
  identity: { vin: VIN, environment: 'production' },
  assignment: { partition: 'EV6', jws: '' },
};
const unbound: BoundVehicle['state'] = { ...bound, assignment: null };

function proof(change: Partial<VerifiedProof>): VerifiedProof {
  return { jws: 'jws', revision: 1, issuedAt: 1, set: '', nonce: null, partition: 'EV6', vin: null, ...change };
}

/** Gives the binding of a proof, or the reason why it is refused. */
function binding(change: Partial<VerifiedProof>, state = bound, former = false): string {
  try {
    return bindingOf(proof(change), { state, former, isOpen: (nonce) => nonce === OPEN });
  } catch (error) {
    if (error instanceof Refusal) return error.reason;
    throw error;
  }
}

describe('a proof', () => {
  it('counts for a bound vehicle only in its partition: no other, and none without a partition', () => {
    expect(binding({})).toBe('own');
    expect(binding({ nonce: OPEN })).toBe('own');
    for (const partition of ['Kona', '*', null]) {
      expect(binding({ partition })).toBe('foreign');
      expect(binding({ partition }, bound, true)).toBe('foreign');
    }
  });

  it('counts before the first assignment only without a partition, from an older control plane', () => {
    expect(binding({ partition: null }, unbound, true)).toBe('own');
    expect(binding({ partition: null }, unbound)).toBe('foreign');
    expect(binding({}, unbound, true)).toBe('foreign');
    expect(binding({}, unbound)).toBe('foreign');
  });

  it('assigns its partition with the VIN and the open nonce of this vehicle alone', () => {
    for (const state of [bound, unbound]) {
      expect(binding({ vin: VIN, nonce: OPEN, partition: 'Kona' }, state)).toBe('assigns');
      expect(binding({ vin: VIN, nonce: 'B'.repeat(22) }, state)).toBe('wrong-question');
      expect(binding({ vin: VIN, nonce: null }, state)).toBe('wrong-question');
      expect(binding({ vin: 'KMHL14JA5PA000002', nonce: OPEN }, state)).toBe('wrong-vehicle');
    }
  });

  it('has an assignment only with a partition, a VIN and a nonce', () => {
    const whole = { vin: VIN, nonce: OPEN };
    expect(assignmentIn(proof(whole))).toEqual({ partition: 'EV6', jws: 'jws' });
    for (const missing of [{ vin: null }, { nonce: null }, { partition: null }])
      expect(assignmentIn(proof({ ...whole, ...missing }))).toBeNull();
  });
});

const definition = (scope: VerifiedDefinition['scope'], settled = false): VerifiedDefinition => ({
  ...{ revision: 2, jws: '', digest: '', definition: null, fault: null, outsideContract: false },
  settled,
  scope,
});

test.each([
  ['EV6', null, true],
  ['EV6', ['Kona', 'EV6'], true],
  ['EV6', ['Kona'], false],
  ['*', null, true],
  ['*', ['EV6'], false],
  [null, ['Kona'], true],
])(
  'a definition concerns partition %j with scope %j: %j, and so does its kill switch',
  (partition, scope, expected) => {
    for (const settled of [true, false])
      expect(concerns({ key: 'a', revision: 2, signed: definition(scope, settled), left: null }, partition)).toBe(
        expected,
      );
  },
);

test.each([
  ['EV6', null, true],
  ['EV6', 'EV6', true],
  ['EV6', 'Kona', false],
  ['EV6', '*', false],
  ['*', 'EV6', false],
  [null, 'EV6', true],
])('a tombstone concerns partition %j where the flag has left %j: %j', (partition, left, expected) => {
  expect(concerns({ key: 'a', revision: 2, signed: null, left }, partition)).toBe(expected);
});
