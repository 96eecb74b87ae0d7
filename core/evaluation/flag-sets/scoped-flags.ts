/**
 * Evaluates the flags of an environment for vehicles of all models: each vehicle has only the flags of its partition,
 * so a required flag that is out of its scope is missing. Source: scopes.md, "Scopes and partitions".
 */
import type { Evaluation, EvaluationContext } from '../../model.ts';
import { OTHER_MODELS, isInPartition, partitionOf, type Scope } from '../../partitions/partition.ts';
import { CompiledSet } from './compiled-set.ts';
import { isMet, type PrerequisiteKind } from './prerequisites.ts';
import { contentFor, type CompiledFlag } from '../evaluate.ts';

/** A flag, and the models that have it. */
export interface ScopedFlag {
  readonly compiled: CompiledFlag;
  readonly scope: Scope;
}

/** An evaluation, and whether vehicles of the context's model have the flag at all. */
export interface ScopedEvaluation {
  readonly evaluation: Evaluation;
  readonly inScope: boolean;
}

/** A flag that another one requires or excludes, and what it serves to the same vehicle. */
export interface PrerequisiteExplanation {
  readonly key: string;
  readonly kind: PrerequisiteKind;
  /** The variants of which a required flag must serve one; null for any but `control`. */
  readonly variants: readonly string[] | null;
  /** The variant that it serves; null where the vehicle does not have it. */
  readonly variant: string | null;
  readonly holds: boolean;
}

/** The flags of an environment. It is valid for as long as their definitions are. */
export class ScopedFlags {
  readonly #flags: ReadonlyMap<string, ScopedFlag>;
  readonly #named: ReadonlySet<string>;
  /** All flags, for looking up what depends on what; made at its first use. */
  #whole: CompiledSet | null = null;
  /** The sets of the partitions for which a flag was evaluated. */
  readonly #sets = new Map<string, CompiledSet>();

  /** Flags whose default value is outside their value contract are left out: as in a vehicle, they are missing. */
  constructor(flags: Iterable<ScopedFlag>) {
    const servable = [...flags].filter(({ compiled }) => !compiled.outsideContract);
    this.#flags = new Map(servable.map((flag) => [flag.compiled.key, flag]));
    this.#named = new Set([...this.#flags.values()].flatMap(({ scope }) => scope ?? []));
  }

  /**
   * Gives the flags of a vehicle, in the order in which all were given. Where its model is not known, these are the
   * flags without a scope.
   */
  ofModel(model: string | null | undefined): CompiledSet {
    const partition = typeof model === 'string' ? partitionOf(model, this.#named) : OTHER_MODELS;
    let set = this.#sets.get(partition);
    if (set === undefined) {
      const flags = [...this.#flags.values()].filter(({ scope }) => isInPartition(scope, partition));
      set = new CompiledSet(flags.map(({ compiled }) => compiled));
      this.#sets.set(partition, set);
    }
    return set;
  }

  /**
   * Evaluates one flag for the vehicle of a context, and those on which it depends. Out of its scope it serves its
   * default. Never throws, whatever JSON the context is. Undefined where there is no such flag.
   */
  evaluate(key: string, context: EvaluationContext): ScopedEvaluation | undefined {
    const flag = this.#flags.get(key);
    if (flag === undefined) return undefined;
    const evaluation = this.ofModel(modelOf(context)).evaluate(key, context);
    return evaluation === undefined
      ? { evaluation: flag.compiled.unmatched, inScope: false }
      : { evaluation, inScope: true };
  }

  /** Explains what a flag asks of others, in the order in which they are checked, for the vehicle of a context. */
  explain(key: string, context: EvaluationContext): PrerequisiteExplanation[] {
    const set = this.ofModel(modelOf(context));
    const compiled = this.#flags.get(key)?.compiled;
    return (compiled === undefined ? [] : contentFor(compiled, context).prerequisites).map((prerequisite) => {
      const { key: other, kind, variants } = prerequisite;
      const served = set.evaluate(other, context);
      return { key: other, kind, variants, variant: served?.variant ?? null, holds: isMet(prerequisite, served) };
    });
  }

  /** Evaluates all flags as `evaluate` does, by their keys, in the order in which they were given. */
  evaluateAll(context: EvaluationContext): Map<string, ScopedEvaluation> {
    const set = this.ofModel(modelOf(context));
    const served = set.evaluateAll(context);
    const inScope = new Map(set.flags.map(({ key }, index) => [key, served[index]!]));
    return new Map(
      Array.from(this.#flags, ([key, { compiled }]) => {
        const evaluation = inScope.get(key);
        return [key, { evaluation: evaluation ?? compiled.unmatched, inScope: evaluation !== undefined }];
      }),
    );
  }

  /** Gives the keys of the flags on which a flag depends, directly or through others, whatever their scopes are. */
  dependenciesOf(key: string): string[] {
    this.#whole ??= new CompiledSet(Array.from(this.#flags.values(), ({ compiled }) => compiled));
    return this.#whole.dependenciesOf(key);
  }
}

const modelOf = (context: EvaluationContext | null): string | null | undefined => context?.model;
