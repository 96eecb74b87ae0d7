/**
 * Evaluates the flags of a vehicle, or of an environment, together, because flags may depend on each other. Source:
 * scopes.md, "Dependencies".
 *
 * Which flag depends on which changes only with a definition. So the order in which flags are visited is found once,
 * when the definitions arrive, and an evaluation visits each flag that it needs once.
 */
import type { Evaluation, EvaluationContext } from '../../model.ts';
import { dependencyOrder } from './dependency-order.ts';
import { contentFor, contentsOf, evaluateRules, type CompiledContent, type CompiledFlag } from '../evaluate.ts';
import { isMet } from './prerequisites.ts';

/** The facts that the caller of an evaluation knows beside the context. */
export interface SetOptions {
  /** Says whether a flag's definition is older than its TTL. Absent, none is. */
  readonly stale?: (key: string) => boolean;
  /** The string that the agent draws at its start for `sticky: false` rollouts. Absent, such a rollout is sticky. */
  readonly nonce?: string;
}

/** A content of a flag, linked to the flags on which it depends. */
interface LinkedContent {
  readonly content: CompiledContent;
  /**
   * For each prerequisite the place of its flag: in a `Node` among the nodes, in a `Step` among the evaluations that
   * the steps before have made; -1 where the vehicle has no such flag.
   */
  readonly needs: readonly number[];
  /** The evaluation of a content that depends on its own flag through others; null for other contents. */
  readonly cyclic: Evaluation | null;
}

/** The contents of a flag: the stable one and, while a release is under way, the new one. */
interface LinkedContents {
  readonly flag: CompiledFlag;
  readonly stable: LinkedContent;
  readonly next: LinkedContent | null;
}

/** The evaluation of one flag, as a step of evaluating several in the order of their dependencies. */
interface Step extends LinkedContents {
  /** The place of the evaluation in the list of all. */
  readonly place: number;
}

/** A flag of the set. */
interface Node extends LinkedContents {
  /** The place in the order of all flags. */
  readonly rank: number;
  /** The steps to evaluate the flag alone, of which it is the last; made at its first evaluation. */
  steps: readonly Step[] | null;
}

const NO_OPTIONS: SetOptions = {};

const linkedContentsOf = ({ stable, next }: LinkedContents): readonly LinkedContent[] =>
  next === null ? [stable] : [stable, next];

/** Evaluates a flag whose prerequisites have been evaluated. */
function serve(
  { flag, stable, next }: Step,
  served: readonly Evaluation[],
  context: EvaluationContext,
  stale: SetOptions['stale'],
  nonce: string,
): Evaluation {
  if (flag.settled !== null) return flag.settled;
  const { content, needs, cyclic } = next !== null && contentFor(flag, context) === next.content ? next : stable;
  if (stale !== undefined && stale(flag.key)) return content.stale;
  if (cyclic !== null) return cyclic;
  for (let index = 0; index < needs.length; index++) {
    const [prerequisite, need] = [content.prerequisites[index]!, needs[index]!];
    if (!isMet(prerequisite, need === -1 ? undefined : served[need])) return prerequisite.failed;
  }
  return evaluateRules(content, context, nonce);
}

function evaluateSteps(steps: readonly Step[], context: EvaluationContext, options: SetOptions): Evaluation[] {
  const { stale, nonce = '' } = options;
  const served = new Array<Evaluation>(steps.length);
  for (const step of steps) served[step.place] = serve(step, served, context, stale, nonce);
  return served;
}

/** Flags that are evaluated together. It is valid for as long as their definitions are. */
export class CompiledSet {
  /** The flags in the order in which they were given. */
  readonly flags: readonly CompiledFlag[];
  readonly #index: ReadonlyMap<string, number>;
  readonly #nodes: readonly Node[];
  /** The steps to evaluate all flags. */
  readonly #steps: readonly Step[];

  /** Takes flags of different keys; of two with one key, the second counts. */
  constructor(flags: Iterable<CompiledFlag>) {
    this.flags = [...new Map(Array.from(flags, (flag) => [flag.key, flag])).values()];
    this.#index = new Map(this.flags.map(({ key }, index) => [key, index]));
    const needsOf = ({ prerequisites }: CompiledContent) => prerequisites.map(({ key }) => this.#index.get(key) ?? -1);
    // A content that no vehicle has yet counts for the order, too: which vehicles have it is not known here.
    const { order, group } = dependencyOrder(
      this.flags.map((flag) =>
        contentsOf(flag)
          .flatMap(needsOf)
          .filter((node) => node !== -1),
      ),
    );
    const ranks = new Map(order.map((node, rank) => [node, rank]));
    this.#nodes = this.flags.map((flag, index) => {
      const link = (content: CompiledContent): LinkedContent => {
        const needs = needsOf(content);
        const within = needs.findIndex((need) => need !== -1 && group[need] === group[index]);
        return { content, needs, cyclic: content.prerequisites[within]?.failed ?? null };
      };
      const next = flag.release === null ? null : link(flag.release.next);
      return { flag, stable: link(flag), next, rank: ranks.get(index)!, steps: null };
    });
    this.#steps = order.map((node) => {
      const { flag, stable, next } = this.#nodes[node]!;
      return { flag, stable, next, place: node };
    });
  }

  /** Gives a flag of the set; undefined where it has none of that key. */
  get(key: string): CompiledFlag | undefined {
    const index = this.#index.get(key);
    return index === undefined ? undefined : this.flags[index];
  }

  /**
   * Evaluates one flag, and those on which it depends. After (1) killed, (2) disabled and (6) stale, a flag whose
   * prerequisite is not met serves its default, and so does each flag of a cycle. Then its rules count. Deterministic.
   * Never throws, whatever JSON the context is; one that is not an object counts as empty.
   *
   * @returns a deeply frozen evaluation, the same object for all contexts with this result; undefined where the set has
   *   no such flag
   */
  evaluate(key: string, context: EvaluationContext, options: SetOptions = NO_OPTIONS): Evaluation | undefined {
    const index = this.#index.get(key);
    const node = index === undefined ? undefined : this.#nodes[index]!;
    if (node === undefined) return undefined;
    const { flag } = node;
    if (flag.settled !== null) return flag.settled;
    const content = contentFor(flag, context);
    if (options.stale?.(key) === true) return content.stale;
    if (content.prerequisites.length === 0) return evaluateRules(content, context, options.nonce ?? '');
    node.steps ??= this.#stepsOf(this.#needed(index!));
    return evaluateSteps(node.steps, context, options).at(-1);
  }

  /** Evaluates all flags as `evaluate` does, in the order of `flags`. Visits each flag once. */
  evaluateAll(context: EvaluationContext, options: SetOptions = NO_OPTIONS): Evaluation[] {
    return evaluateSteps(this.#steps, context, options);
  }

  /** Gives the keys of the flags on which a flag depends, directly or through others, its own among them. */
  dependenciesOf(key: string): string[] {
    const index = this.#index.get(key);
    return index === undefined ? [] : this.#needed(index).map((node) => this.#nodes[node]!.flag.key);
  }

  /** Gives the nodes on which one depends and itself, each after its prerequisites. */
  #needed(index: number): number[] {
    const needed = new Set([index]);
    // A set gives the members that are added while it is walked, too.
    for (const node of needed)
      for (const { needs } of linkedContentsOf(this.#nodes[node]!))
        for (const need of needs) if (need !== -1) needed.add(need);
    needed.delete(index);
    // The node itself comes last, even where one of its cycle would come after it: none of them reads the others.
    return [...[...needed].sort((a, b) => this.#nodes[a]!.rank - this.#nodes[b]!.rank), index];
  }

  #stepsOf(nodes: readonly number[]): Step[] {
    const places = new Map(nodes.map((node, place) => [node, place]));
    const placed = (linked: LinkedContent): LinkedContent => ({
      ...linked,
      needs: linked.needs.map((need) => places.get(need) ?? -1),
    });
    return nodes.map((node, place) => {
      const { flag, stable, next } = this.#nodes[node]!;
      return { flag, place, stable: placed(stable), next: next && placed(next) };
    });
  }
}
