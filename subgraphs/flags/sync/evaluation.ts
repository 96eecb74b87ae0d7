/** Evaluation on the server, exactly as in a vehicle: the same compiled form and the same code (core/evaluation). */
import { LRUCache } from 'lru-cache';
import { compileFlag, evaluateFlag, type CompiledFlag } from '../../../core/evaluation/evaluate.ts';
import type { Evaluation, EvaluationContext, FlagDefinition } from '../../../core/model.ts';
import { signatureOf } from '../signing/signing.ts';

/**
 * Caches compiled flags: compiling costs some microseconds, evaluating less than one. The key is the signature over the
 * content and not flag, environment and revision, because a restored database reaches the same revision with other
 * content.
 */
const compiled = new LRUCache<string, CompiledFlag>({ max: 1_000 });

/** A definition with its signed form. */
export interface SignedDefinition {
  readonly definition: FlagDefinition;
  readonly jws: string;
}

/** The living flags of an environment, by key, as vehicles have them: whitelists are digests. */
export interface Definitions {
  /** The environment's revision that they are known to contain. */
  readonly revision: number;
  readonly definitions: readonly SignedDefinition[];
}

/** Evaluates a flag for `context`. Never throws. */
export function evaluate({ definition, jws }: SignedDefinition, context: EvaluationContext): Evaluation {
  // Unsigned definitions have no signature to be cached by.
  if (jws === '') return evaluateFlag(compileFlag(definition), context);
  const id = signatureOf(jws);
  let form = compiled.get(id);
  if (form === undefined) compiled.set(id, (form = compileFlag(definition)));
  return evaluateFlag(form, context);
}
