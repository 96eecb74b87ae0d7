/** Makes an agent's evaluator with flags, without a store or network. */
import type { FlagDefinition } from '../../core/model.ts';
import type { FlagSource } from '../api/ofrep.ts';
import { FlagEvaluator } from '../evaluate/flag-evaluator.ts';
import type { VehicleFacts } from '../facts/known-facts.ts';
import { emptyState, type VehicleState } from '../state.ts';
import { heldFlag } from '../sync/apply.ts';
import { AgeingClock } from '../trust/ageing-clock.ts';
import { TEST_VIN } from './control-plane.ts';

/** Makes a boolean flag that is enabled and false for everybody, with the given changes. */
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

/** Makes the state of a vehicle that holds and serves `definitions`. */
export function stateOf(definitions: readonly FlagDefinition[]): VehicleState {
  const held = definitions.map((definition) => {
    const signed = {
      revision: definition.revision,
      jws: '',
      digest: '',
      definition,
      fault: null,
      outsideContract: false,
      settled: !definition.enabled,
      scope: definition.scope ?? null,
    };
    return heldFlag(definition.key, signed, null, null, Date.now() / 1000, 604_800);
  });
  return {
    ...emptyState({ vin: TEST_VIN, environment: 'production' }),
    flags: new Map(held.map((flag) => [flag.key, flag])),
  };
}

/** Makes the parts of an agent with `definitions` that OFREP needs. */
export function sourceOf(definitions: readonly FlagDefinition[], facts: VehicleFacts = {}): FlagSource {
  const evaluator = new FlagEvaluator(facts, new AgeingClock(Date.now));
  evaluator.replace(stateOf(definitions));
  return {
    isReady: true,
    evaluate: (key, context) => evaluator.evaluate(key, context),
    flagKeys: () => evaluator.keys(),
  };
}
