/**
 * Evaluating on the server exactly as a vehicle would: the same compiled form, the same code (core/evaluation).
 */
import { LRUCache } from 'lru-cache';
import { compileFlag, evaluateFlag, type CompiledFlag } from '../../../core/evaluation/evaluate.ts';
import type { Evaluation, EvaluationContext, FlagDefinition } from '../../../core/model.ts';
import { signatureOf } from '../signing/signing.ts';

/**
 * Compiling costs some microseconds and evaluating less than one. What names a compiled form is the signature over its
 * content: key, environment and revision do not, because a restored database comes to the same revision with another.
 */
const compiled = new LRUCache<string, CompiledFlag>({ max: 1_000 });

/** A flag as it was signed. */
export interface SignedDefinition {
  readonly definition: FlagDefinition;
  readonly jws: string;
}

/** What `context` gets for a flag. Never throws. */
export function evaluate({ definition, jws }: SignedDefinition, context: EvaluationContext): Evaluation {
  // What nobody has signed has no name.
  if (jws === '') return evaluateFlag(compileFlag(definition), context);
  const id = signatureOf(jws);
  let form = compiled.get(id);
  if (form === undefined) compiled.set(id, (form = compileFlag(definition)));
  return evaluateFlag(form, context);
}
