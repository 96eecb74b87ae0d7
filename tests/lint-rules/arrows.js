import { dirname, join, relative, resolve, sep } from 'node:path';

const ROOT = join(import.meta.dirname, '../..');

/** A room, and all that it may import from beside itself and packages (house.md, "Rooms and arrows"). */
export const ROOMS = {
  core: [],
  'subgraphs/shared': ['core', 'prisma'],
  'subgraphs/flags': ['core', 'subgraphs/shared', 'prisma'],
  'subgraphs/vehicles': ['core', 'subgraphs/shared', 'prisma'],
  'subgraphs/experiments': ['core', 'subgraphs/shared', 'prisma'],
  'subgraphs/audit': ['core', 'subgraphs/shared', 'prisma'],
  gateway: ['core'],
  agent: ['core'],
  // What browsers load: the types of the public API, and nothing of what answers it.
  console: [],
  // For readers to copy: it must work without the rest.
  examples: [],
  prisma: [],
};

/**
 * Arrows within the gateway that may not be: a transport reads, calls the pipeline and answers; what it calls knows of
 * no transport.
 */
const FORBIDDEN = [
  { room: 'gateway/operations', from: 'gateway/transports' },
  { room: 'gateway/operations', from: 'gateway/subscriptions', except: 'gateway/subscriptions/testing' },
  { room: 'gateway/operations', from: 'gateway/gateway.ts' },
  { room: 'gateway/credentials', from: 'gateway/transports' },
  { room: 'gateway/subscriptions', from: 'gateway/transports' },
];

const isIn = (path, room) => path === room || path.startsWith(`${room}/`);

/** Gives the reason why a file may not import another one, both as paths from the root; undefined where it may. */
function obstacle(file, imported) {
  for (const [room, allowed] of Object.entries(ROOMS))
    if (isIn(file, room) && ![room, ...allowed].some((other) => isIn(imported, other)))
      return `${room} may import only from ${['itself', ...allowed].join(', ')}.`;
  for (const { room, from, except } of FORBIDDEN)
    if (isIn(file, room) && isIn(imported, from) && !(except !== undefined && isIn(imported, except)))
      return `${room} may not import from ${from}.`;
  return undefined;
}

export const arrows = {
  meta: { type: 'problem', schema: [], messages: { arrow: '{{reason}}' } },
  create(context) {
    const fromRoot = (path) => relative(ROOT, path).split(sep).join('/');
    const check = (node) => {
      const { source } = node;
      // A module that is named by no path is a package.
      if (typeof source?.value !== 'string' || !source.value.startsWith('.')) return;
      const imported = resolve(dirname(context.filename), source.value);
      const reason = obstacle(fromRoot(context.filename), fromRoot(imported));
      if (reason !== undefined) context.report({ node: source, messageId: 'arrow', data: { reason } });
    };
    return {
      ImportDeclaration: check,
      ExportNamedDeclaration: check,
      ExportAllDeclaration: check,
      ImportExpression: check,
    };
  },
};
