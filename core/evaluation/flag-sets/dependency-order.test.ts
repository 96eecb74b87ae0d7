import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { dependencyOrder } from './dependency-order.ts';

const graphs = fc
  .integer({ min: 1, max: 9 })
  .chain((size) => fc.array(fc.array(fc.nat(size - 1), { maxLength: 3 }), { minLength: size, maxLength: size }));

/** Says which nodes can be reached from which, by Warshall's algorithm. */
function reachable(graph: readonly (readonly number[])[]): boolean[][] {
  const reach = graph.map((dependencies) => graph.map((_, node) => dependencies.includes(node)));
  for (const middle of graph.keys())
    for (const from of graph.keys())
      for (const to of graph.keys()) if (reach[from]![middle]! && reach[middle]![to]!) reach[from]![to] = true;
  return reach;
}

describe('the order of dependencies', () => {
  it('has each node once, after those that it depends on, and groups the nodes of cycles', () => {
    fc.assert(
      fc.property(graphs, (graph) => {
        const reach = reachable(graph);
        const { order, group } = dependencyOrder(graph);
        expect([...order].sort((a, b) => a - b)).toEqual([...graph.keys()]);
        for (const from of graph.keys()) {
          for (const to of graph.keys()) {
            const areTogether = from === to || (reach[from]![to]! && reach[to]![from]!);
            expect(group[from] === group[to]).toBe(areTogether);
            if (reach[from]![to]! && !areTogether) expect(order.indexOf(to)).toBeLessThan(order.indexOf(from));
          }
        }
      }),
    );
  });

  it('is found for a chain that no call stack could hold', () => {
    const LENGTH = 200_000;
    const { order } = dependencyOrder(
      Array.from({ length: LENGTH }, (_, node) => (node + 1 < LENGTH ? [node + 1] : [])),
    );
    expect([order.length, order[0], order.at(-1)]).toEqual([LENGTH, LENGTH - 1, 0]);
  });
});
