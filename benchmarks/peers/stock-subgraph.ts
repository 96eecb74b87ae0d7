/**
 * The flags subgraph as stock Apollo Server over HTTP, answering from memory: `stock-subgraph.ts FLAGS_FILE`. The file
 * holds the flags as FleetFlag's API gives them, so that both answer the same.
 */
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { ApolloServer } from '@apollo/server';
import { startStandaloneServer } from '@apollo/server/standalone';
import { buildSubgraphSchema } from '@apollo/subgraph';
import { parse } from 'graphql';
import { compileFlag, evaluateFlag } from '../../core/evaluation/evaluate.ts';
import type { EvaluationContext, FlagDefinition } from '../../core/model.ts';

interface ShownFlag {
  readonly key: string;
  readonly type: string;
  readonly revision: number;
  readonly rules: readonly { readonly type: string }[];
}

const flags = JSON.parse(await readFile(process.argv[2] ?? '', 'utf8')) as readonly ShownFlag[];
const compiled = new Map(
  flags.map((flag) => {
    const definition = {
      ...flag,
      type: flag.type.toLowerCase(),
      rules: flag.rules.map((rule) => ({ ...rule, type: rule.type.toLowerCase() })),
    };
    return [flag.key, compileFlag(definition as unknown as FlagDefinition)] as const;
  }),
);

const Query = {
  evaluateFlag(_: unknown, { key, context }: { key: string; context: EvaluationContext }) {
    const flag = compiled.get(key);
    if (flag === undefined) throw new Error('There is no such flag.');
    return { flagKey: key, ...evaluateFlag(flag, context) };
  },
  flags: (_: unknown, { first = 20 }: { first?: number }) => ({
    nodes: flags.slice(0, first),
    totalCount: flags.length,
    pageInfo: { hasNextPage: false },
  }),
};
const typeDefs = parse(
  await readFile(fileURLToPath(new URL('../../subgraphs/flags/schema.graphql', import.meta.url)), 'utf8'),
);
const server = new ApolloServer({ schema: buildSubgraphSchema({ typeDefs, resolvers: { Query } }) });
const { url } = await startStandaloneServer(server, { listen: { port: 0, host: '127.0.0.1' } });
console.log(`LISTENING ${new URL(url).port}`);
