/**
 * The graph of the dependencies between an environment's flags, and what may not be written into it. Pure. Source:
 * scopes.md, "Dependencies".
 *
 * A change is checked in its transaction, on the flags as they would be after it:
 *
 *     const graph = new DependencyGraph(flagsAfterTheChange); // the living flags of the environment, drafts among them
 *     graph.check(key, 'input', before); // each flag that is created, changed, unarchived, restored or moved here
 *     graph.checkDependents(key, 'input'); // each flag that is changed; with null where it is archived
 *     graph.dependents(key); // what a kill of the flag takes along
 *
 * For a set of changes, one graph is made of the flags after all of them. A flag with two contents (a stable one and
 * the next one of a release) is given twice, once with each. Flags that have no dependencies and that nobody names may
 * be left out. Before that, `validateDependencies` has read the form of what was written.
 */
import { FleetFlagError, badInput } from '../errors.ts';
import { SAFETY_LEVELS, type FlagDefinition } from '../model.ts';
import { covers, type Scope } from './partition.ts';

/** The most steps from a flag to one that it depends on, directly or through others. */
export const MAX_DEPENDENCY_DEPTH = 5;

/** A flag with what its dependencies are about. */
export type GraphFlag = Pick<FlagDefinition, 'key' | 'scope' | 'safetyLevel' | 'requires' | 'excludes'>;

/** The flags that a flag's kill switch concerns, as keys in order. */
export interface Dependents {
  /** The flags that require the flag. */
  readonly direct: readonly string[];
  /** The flags that require it, directly or through others: all of them serve their defaults while it is killed. */
  readonly transitive: readonly string[];
  /** The flags that exclude it or one of `transitive`, and which may serve other values than their defaults then. */
  readonly freed: readonly string[];
}

/** A flag of the graph, all members present. */
type Content = Required<GraphFlag> & { readonly scope: Scope };

/** A dependency with the place of its key in the input. */
interface NamedFlag {
  readonly flag: string;
  readonly field: string;
}

const contentOf = ({ scope = null, requires = [], excludes = [], ...flag }: GraphFlag): Content => ({
  ...flag,
  scope,
  requires,
  excludes,
});

const namesIn = ({ requires, excludes }: Content): string[] => [...requires.map(({ flag }) => flag), ...excludes];
const requiresFlag = ({ requires }: Content, key: string): boolean => requires.some(({ flag }) => flag === key);
const severity = ({ safetyLevel }: Content): number => SAFETY_LEVELS.indexOf(safetyLevel);
const keysOf = (flags: readonly Content[]): string[] => [...new Set(flags.map(({ key }) => key))].sort();
const arrows = (path: readonly string[]): string => path.join(' → ');

/** The flags of an environment and what they depend on. It is not changed once it is made. */
export class DependencyGraph {
  readonly #flags = new Map<string, Content[]>();
  /** The flags that name a flag, by its key. */
  readonly #naming = new Map<string, Content[]>();

  constructor(flags: Iterable<GraphFlag>) {
    const add = (to: Map<string, Content[]>, key: string, content: Content) => {
      const contents = to.get(key);
      if (contents === undefined) to.set(key, [content]);
      else contents.push(content);
    };
    for (const flag of flags) {
      const content = contentOf(flag);
      add(this.#flags, flag.key, content);
      for (const name of namesIn(content)) add(this.#naming, name, content);
    }
  }

  /**
   * Checks what a flag depends on: that the flags exist, that it does not depend on itself through others, that no
   * chain is too long, and that each required flag is in every vehicle that has this one and is no less safe.
   *
   * @param key a flag of the graph; one that is not in it has nothing to check
   * @param path the dotted path of the input, such as `input`
   * @param before the flag before the change; a flag that it named already may be missing meanwhile
   * @throws BAD_USER_INPUT at the entry that is at fault, such as `input.requires.1.flagKey` or `input.excludes.0`.
   *   Where the flag required the same before, the fault is in its scope or safety level: `input.scope`,
   *   `input.safetyLevel`
   */
  check(key: string, path: string, before: GraphFlag | null = null): void {
    const known = contentOf(before ?? { key, safetyLevel: 'Non-Critical' });
    const namedBefore = new Set(namesIn(known));
    for (const content of this.#flags.get(key) ?? []) {
      const named = namedFlags(content, path);
      for (const { flag, field } of named) {
        if (!this.#flags.has(flag) && !namedBefore.has(flag))
          throw badInput(field, `There is no flag ${JSON.stringify(flag)} in this environment.`);
        const cycle = this.#wayTo(flag, key);
        if (cycle !== null) throw badInput(field, `${key} would depend on itself: ${arrows([key, ...cycle])}.`);
      }
      for (const [index, { flag }] of content.requires.entries()) {
        const field = (member: string) =>
          requiresFlag(known, flag) ? `${path}.${member}` : `${path}.requires.${index}.flagKey`;
        for (const required of this.#flags.get(flag) ?? []) {
          if (!covers(required.scope, content.scope)) throw badInput(field('scope'), scopeFault(content, required));
          if (severity(required) < severity(content))
            throw badInput(field('safetyLevel'), safetyFault(content, required));
        }
      }
      this.#checkDepth(key, named);
    }
  }

  /**
   * Checks that the flags which require a flag can still have it: that it is in the environment, in every vehicle that
   * has them, and no less safe than they are.
   *
   * @param key a flag that was changed; one that has left the environment is not in the graph
   * @param path the dotted path of the input, such as `input`; null for a change without input, such as archiving
   * @throws CONFLICT that names all flags which are in the way, with the field `input.environment`, `input.scope` or
   *   `input.safetyLevel` where there is an input
   */
  checkDependents(key: string, path: string | null): void {
    const needing = this.#requiring(key);
    const contents = this.#flags.get(key) ?? [];
    const refuse = (inTheWay: readonly Content[], member: string, why: string) => {
      if (inTheWay.length === 0) return;
      const names = keysOf(inTheWay).join(', ');
      const message = `${key} is required by ${names}, ${why}. Change them first, or in the same set of changes.`;
      throw new FleetFlagError('CONFLICT', message, path === null ? {} : { field: `${path}.${member}` });
    };
    if (contents.length === 0) refuse(needing, 'environment', 'which would miss it');
    const faulty = (isFault: (dependent: Content, required: Content) => boolean) =>
      needing.filter((dependent) => contents.some((required) => isFault(dependent, required)));
    refuse(
      faulty((dependent, required) => !covers(required.scope, dependent.scope)),
      'scope',
      'which would be in vehicles without it',
    );
    refuse(
      faulty((dependent, required) => severity(required) < severity(dependent)),
      'safetyLevel',
      'whose safety level would be higher',
    );
  }

  /** Gives the flags that serve other values than before while a flag is killed. */
  dependents(key: string): Dependents {
    const direct = keysOf(this.#requiring(key));
    const transitive = new Set(direct);
    // A set gives the members that are added while it is walked, too.
    for (const dependent of transitive)
      for (const further of keysOf(this.#requiring(dependent))) transitive.add(further);
    transitive.delete(key);
    const freed = keysOf(
      [key, ...transitive].flatMap((killed) =>
        this.#namedBy(killed).filter(({ excludes }) => excludes.includes(killed)),
      ),
    );
    return {
      direct,
      transitive: [...transitive].sort(),
      freed: freed.filter((flag) => flag !== key && !transitive.has(flag)),
    };
  }

  #namedBy(key: string): Content[] {
    return this.#naming.get(key) ?? [];
  }

  #requiring(key: string): Content[] {
    return this.#namedBy(key).filter((naming) => requiresFlag(naming, key));
  }

  #below(key: string): string[] {
    return (this.#flags.get(key) ?? []).flatMap((flag) => namesIn(flag));
  }

  /** Gives a shortest way over dependencies, both ends included; null where there is none. */
  #wayTo(from: string, to: string): string[] | null {
    const ways = new Map([[from, [from]]]);
    // A map gives the entries that are added while it is walked, too.
    for (const [key, way] of ways) {
      if (key === to) return way;
      for (const next of this.#below(key)) if (!ways.has(next)) ways.set(next, [...way, next]);
    }
    return null;
  }

  #checkDepth(key: string, named: readonly NamedFlag[]): void {
    const down = longestChain(key, (flag) => this.#below(flag));
    const up = longestChain(key, (flag) => keysOf(this.#namedBy(flag)));
    const first = named.find(({ flag }) => flag === down[1]);
    const steps = down.length + up.length - 2;
    if (first === undefined || steps <= MAX_DEPENDENCY_DEPTH) return;
    throw badInput(
      first.field,
      `A chain of dependencies may have at most ${MAX_DEPENDENCY_DEPTH} steps; this one would have more: ${arrows([...up.reverse(), ...down.slice(1)])}.`,
    );
  }
}

function namedFlags({ requires, excludes }: Content, path: string): NamedFlag[] {
  return [
    ...requires.map(({ flag }, index) => ({ flag, field: `${path}.requires.${index}.flagKey` })),
    ...excludes.map((flag, index) => ({ flag, field: `${path}.excludes.${index}` })),
  ];
}

/**
 * Gives the keys of a longest chain that begins with `key`, cut after the first step too many. So it ends in a graph
 * with cycles, too.
 */
function longestChain(key: string, next: (key: string) => Iterable<string>): string[] {
  let longest = [key];
  let chains = new Map([[key, longest]]);
  for (let steps = 0; steps <= MAX_DEPENDENCY_DEPTH; steps++) {
    const longer = new Map<string, string[]>();
    for (const [from, chain] of chains) for (const to of next(from)) longer.set(to, [...chain, to]);
    [longest = longest] = longer.values();
    chains = longer;
  }
  return longest;
}

function scopeFault({ key, scope }: Content, required: Content): string {
  const names = (models: Scope) => models?.join(', ') ?? 'every vehicle';
  const models = scope?.filter((model) => !required.scope?.includes(model)) ?? null;
  return `${key} is for ${names(models)}, but ${required.key}, which it requires, is for ${names(required.scope)} only.`;
}

function safetyFault({ key, safetyLevel }: Content, required: Content): string {
  return `${key} is ${safetyLevel}, but ${required.key}, which it requires, is only ${required.safetyLevel}.`;
}
