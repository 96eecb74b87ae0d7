import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { FACT_NAMES, type RegisteredFacts } from '../../core/wire/vehicle/vehicle-facts.ts';
import { KnownFacts, type VehicleFacts } from './known-facts.ts';

const text = fc.constantFrom('Ioniq 5', 'Ioniq 6', '2.5.0', 'EU');
const registered: fc.Arbitrary<RegisteredFacts> = fc.record({ model: text, swVersion: text, region: text });
const own: fc.Arbitrary<VehicleFacts> = fc.record({
  model: fc.option(text, { nil: undefined }),
  swVersion: fc.option(text, { nil: undefined }),
  region: fc.option(text, { nil: undefined }),
});

test('the settings win, the registered facts fill what they leave out once stored, and every difference is named', () => {
  fc.assert(
    fc.property(own, registered, registered, (settings, first, second) => {
      const known = new KnownFacts(settings);
      expect(known.facts).toEqual(settings);
      expect([known.registered, known.differences()]).toEqual([null, []]);
      const leftOut = FACT_NAMES.some((name) => settings[name] === undefined);
      expect([known.unconfirmed, known.confirmedAt]).toEqual([leftOut, null]);
      for (const [facts, now] of [
        [first, null],
        [second, 5],
      ] as const) {
        // The first are the stored ones: the control plane has yet to confirm them.
        const before = known.factsInEffect;
        if (now === null) known.restore({ jws: 'signed', facts });
        else {
          known.learn({ jws: 'signed', facts }, now);
          expect(known.factsInEffect).toBe(before);
          known.takeEffect();
        }
        expect([known.unconfirmed, known.confirmedAt]).toEqual([leftOut && now === null, now]);
        for (const name of FACT_NAMES) expect(known.facts[name]).toBe(settings[name] ?? facts[name]);
        expect(known.factsInEffect).toBe(known.facts);
        const differing = FACT_NAMES.filter((name) => settings[name] !== undefined && settings[name] !== facts[name]);
        expect(known.differences()).toEqual(
          differing.map((fact) => ({ fact, own: settings[fact], registered: facts[fact] })),
        );
      }
    }),
  );
});
