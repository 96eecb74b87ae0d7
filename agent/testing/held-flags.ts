/** An agent's evaluator with flags in it, without store or network: for tests of what is asked of it. */
import type { FlagDefinition } from '../../core/model.ts';
import type { FlagSource } from '../api/ofrep.ts';
import { FlagEvaluator } from '../evaluate/flag-evaluator.ts';
import type { VehicleFacts } from '../facts/known-facts.ts';
import { emptyState } from '../state.ts';
import { heldFlag } from '../sync/apply.ts';
import { AgeingClock } from '../trust/ageing-clock.ts';
import { TEST_VIN } from './test-vehicle.ts';

/** A boolean flag that is on and false for everybody, changed by what is given. */
export function testFlag(key: string, change: Partial<FlagDefinition> = {}): FlagDefinition {
  return {
    key,
    environment: 'production',
    type: 'boolean',
    safetyLevel: 'Non-Critical',
    enabled: true,
    defaultValue: false,
    revision: 1,
    rules: [],
    ...change,
  };
}

/** What OFREP needs of an agent, holding `definitions`. */
export function sourceOf(definitions: readonly FlagDefinition[], facts: VehicleFacts = {}): FlagSource {
  const evaluator = new FlagEvaluator(facts, new AgeingClock(Date.now));
  const held = definitions.map((definition) => {
    const signed = {
      revision: definition.revision,
      jws: '',
      digest: '',
      definition,
      fault: null,
      settled: !definition.enabled,
    };
    return heldFlag(definition.key, signed, null, null, Date.now() / 1000, 604_800);
  });
  evaluator.replace({
    ...emptyState({ vin: TEST_VIN, environment: 'production' }),
    flags: new Map(held.map((flag) => [flag.key, flag])),
  });
  return {
    isReady: true,
    evaluate: (key, context) => evaluator.evaluate(key, context),
    flagKeys: () => evaluator.keys(),
  };
}
