import { SUBGRAPH_NAMES, type SubgraphConnection, type SubgraphName } from '../../core/wire/subgraph/subgraph.ts';

/** Resolves to whether each part that requests need answers, by its name. */
export type Readiness = () => Promise<Readonly<Record<string, boolean>>>;

/** Combines the readiness of the subgraphs with that of `others`, such as the stores. */
export function readinessOf(
  subgraphs: Readonly<Record<SubgraphName, Pick<SubgraphConnection, 'ready'>>>,
  others: Readiness,
): Readiness {
  return async () => {
    const ofSubgraphs = async () =>
      Object.fromEntries(
        await Promise.all(SUBGRAPH_NAMES.map(async (name) => [name, await subgraphs[name].ready()] as const)),
      );
    const [answers, rest] = await Promise.all([ofSubgraphs(), others()]);
    return { ...rest, ...answers };
  };
}
