/**
 * Evaluating on the server exactly as a vehicle would: the same compiled form, the same code (core/evaluation).
 */
import { LRUCache } from 'lru-cache';
import { compileFlag, evaluateFlag, type CompiledFlag } from '../../core/evaluation/evaluate.ts';
import type { Evaluation, EvaluationContext, FlagDefinition } from '../../core/model.ts';

/** Compiling costs some microseconds and evaluating less than one; a flag's revision names one compiled form for ever in its environment. */
const compiled = new LRUCache<string, CompiledFlag>({ max: 1_000 });

/** What `context` gets for `flag`. Never throws. */
export function evaluate(flag: FlagDefinition, context: EvaluationContext): Evaluation {
  const id = `${flag.key}:${flag.environment}:${flag.revision}`;
  let form = compiled.get(id);
  if (form === undefined) compiled.set(id, (form = compileFlag(flag)));
  return evaluateFlag(form, context);
}
