/**
 * An order of nodes in which each comes after those that it depends on, and the nodes for which there is none. Source:
 * R. Tarjan, Depth-first search and linear graph algorithms (1972), without recursion, so that no chain is too long.
 */

/** The order of the nodes of a graph. */
export interface DependencyOrder {
  /** All nodes. Each comes after those that it depends on, except within a cycle. */
  readonly order: readonly number[];
  /** The number of the group of each node: two nodes are in one group where each depends on the other. */
  readonly group: readonly number[];
}

/**
 * Finds the order of nodes, in time linear in their number and that of their dependencies.
 *
 * @param dependencies for each node the nodes on which it depends directly
 */
export function dependencyOrder(dependencies: readonly (readonly number[])[]): DependencyOrder {
  const order: number[] = [];
  const group = dependencies.map(() => -1);
  /** The time at which a node was found, from 1; 0 before that. */
  const found = dependencies.map(() => 0);
  /** The earliest time of a node that can be reached from a node and is in no group yet. */
  const earliest = dependencies.map(() => 0);
  const ungrouped: number[] = [];
  let time = 0;
  let groups = 0;
  /** The nodes on the way from the start, each with the number of its dependencies that have been visited. */
  const way: { readonly node: number; visited: number }[] = [];
  const enter = (node: number) => {
    found[node] = earliest[node] = ++time;
    ungrouped.push(node);
    way.push({ node, visited: 0 });
  };
  const learn = (node: number, at: number) => {
    if (at < earliest[node]!) earliest[node] = at;
  };
  for (let start = 0; start < dependencies.length; start++) {
    if (found[start] === 0) enter(start);
    for (let place = way.at(-1); place !== undefined; place = way.at(-1)) {
      const { node } = place;
      const next = dependencies[node]![place.visited++];
      if (next !== undefined) {
        if (found[next] === 0) enter(next);
        else if (group[next] === -1) learn(node, found[next]!);
        continue;
      }
      way.pop();
      const from = way.at(-1);
      if (from !== undefined) learn(from.node, earliest[node]!);
      if (earliest[node] !== found[node]) continue;
      for (const member of ungrouped.splice(ungrouped.lastIndexOf(node))) {
        group[member] = groups;
        order.push(member);
      }
      groups++;
    }
  }
  return { order, group };
}
