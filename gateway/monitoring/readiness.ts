import { SUBGRAPH_NAMES, type SubgraphConnection, type SubgraphName } from '../../core/wire/subgraph.ts';

/** Parts that requests need, each with whether it answers. */
export type Readiness = () => Promise<Readonly<Record<string, boolean>>>;

/** Whether each subgraph answers, and each of the other parts. */
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
