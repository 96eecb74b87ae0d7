import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { DEFINITION_JWS_TYPE, STATEMENT_JWS_TYPE } from './definition.ts';
import { PROOF_JWS_TYPE } from './proof.ts';
import { FACT_NAMES, readVehicleFacts, VEHICLE_FACTS_JWS_TYPE, type VehicleFactsPayload } from './vehicle-facts.ts';

const facts: VehicleFactsPayload = {
  v: 1,
  vin: 'KMHL14JA5PA000001',
  model: 'Ioniq 6',
  swVersion: '2.5.0',
  region: 'EU',
  nonce: 'AAAAAAAAAAAAAAAAAAAAAA',
};

test('the reader of facts reads what was signed, through JSON, and leaves out what it does not know', () => {
  expect(readVehicleFacts(JSON.parse(JSON.stringify({ ...facts, more: true })))).toEqual(facts);
  expect(FACT_NAMES.every((name) => name in facts)).toBe(true);
});

test('a statement of facts has a type of its own among the signed forms', () => {
  expect([DEFINITION_JWS_TYPE, STATEMENT_JWS_TYPE, PROOF_JWS_TYPE]).not.toContain(VEHICLE_FACTS_JWS_TYPE);
});

test('the reader of facts accepts no other JSON, and never throws', () => {
  const members = Object.keys(facts) as (keyof VehicleFactsPayload)[];
  fc.assert(
    fc.property(fc.constantFrom(...members), fc.jsonValue(), (name, value) => {
      const read = readVehicleFacts({ ...facts, [name]: value });
      if (read !== null) expect(read).toEqual({ ...facts, [name]: value });
      if (typeof value !== typeof facts[name]) expect(read).toBeNull();
    }),
  );
  fc.assert(fc.property(fc.jsonValue(), (value) => expect(readVehicleFacts(value)).toBeNull()));
  expect(readVehicleFacts({ ...facts, nonce: 'short' })).toBeNull();
});
