/** Evaluation on the server, exactly as in a vehicle: the same compiled form and the same code (core/evaluation). */
import { boundedCache } from '../../../core/bounded-cache.ts';
import { compileFlag, type CompiledFlag } from '../../../core/evaluation/evaluate.ts';
import {
  ScopedFlags,
  type PrerequisiteExplanation,
  type ScopedEvaluation,
} from '../../../core/evaluation/flag-sets/scoped-flags.ts';
import { FleetFlagError } from '../../../core/errors.ts';
import type { EvaluationContext, FlagDefinition } from '../../../core/model.ts';
import { signatureOf } from '../signing/signing.ts';

/**
 * Caches compiled flags: compiling costs some microseconds, evaluating less than one. The key is the signature over the
 * content and not flag, environment and revision, because a restored database reaches the same revision with other
 * content. Beside it, a definition that is read again and again has its compiled form for as long as it is in use.
 */
const compiled = boundedCache<string, CompiledFlag>(1_000);

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

const compiledOfDefinition = new WeakMap<FlagDefinition, CompiledFlag>();

/** Gives the compiled form of a definition. */
function compiledOf({ definition, jws }: SignedDefinition): CompiledFlag {
  let form = compiledOfDefinition.get(definition);
  if (form !== undefined) return form;
  // Unsigned definitions have no signature to be cached by.
  const id = jws === '' ? null : signatureOf(jws);
  form = id === null ? undefined : compiled.get(id);
  form ??= compileFlag(definition);
  if (id !== null) compiled.set(id, form);
  compiledOfDefinition.set(definition, form);
  return form;
}

const scopedOf = (flag: SignedDefinition) => ({
  compiled: compiledOf(flag),
  scope: flag.definition.scope ?? null,
});

/** The flags of each state of an environment: the order in which they are evaluated is found once for it. */
const flagsOf = new WeakMap<Definitions, ScopedFlags>();

/** Gives the flags of an environment, ready to be evaluated together. */
export function evaluatedTogether(definitions: Definitions): ScopedFlags {
  let flags = flagsOf.get(definitions);
  if (flags === undefined)
    flagsOf.set(definitions, (flags = new ScopedFlags(definitions.definitions.map((flag) => scopedOf(flag)))));
  return flags;
}

/** An evaluation with what the flag asks of others. */
export interface EvaluatedTogether extends ScopedEvaluation {
  readonly dependencies: readonly PrerequisiteExplanation[];
}

/**
 * Evaluates a flag for `context`, together with those on which it depends.
 *
 * @param environment gives the flags of its environment; not asked where the flag depends on none
 * @throws CONFLICT for a flag whose default value is outside its value contract, because somebody has written it past
 *   the API: there is nothing that it may serve
 */
export async function evaluate(
  flag: SignedDefinition,
  context: EvaluationContext,
  environment: () => Promise<Definitions>,
): Promise<EvaluatedTogether> {
  const { requires = [], excludes = [], key, revision } = flag.definition;
  if (compiledOf(flag).outsideContract)
    throw new FleetFlagError(
      'CONFLICT',
      `The default value of ${key} is outside its value contract; change one of the two.`,
      { currentRevision: revision },
    );
  const alone = new ScopedFlags([scopedOf(flag)]);
  const flags = requires.length === 0 && excludes.length === 0 ? alone : evaluatedTogether(await environment());
  // A flag that was written just now may be newer than what is known of its environment.
  const evaluated = flags.evaluate(key, context) ?? alone.evaluate(key, context)!;
  return { ...evaluated, dependencies: flags.explain(key, context) };
}
