/** Reads docs/reference/permissions.md as data, with which tests compare the running system. */
import { readFileSync } from 'node:fs';

/** The kinds of callers, as the columns of the page name them. */
export const CALLERS = [
  'anonymous',
  'READ',
  'WRITE',
  'SAFETY',
  'ADMIN',
  'key READ',
  'key WRITE',
  'key ADMIN',
  'vehicle',
  'another vehicle',
] as const;
export type CallerName = (typeof CALLERS)[number];

/** The rows of the page: who may do what. */
export type Matrix = ReadonlyMap<string, ReadonlySet<CallerName>>;

export interface PermissionMatrix {
  /** Operations, by names such as `Query.flag`. */
  readonly operations: Matrix;
  /** Fields, by names such as `Flag.history`, or `User.*` for all fields of a type. */
  readonly fields: Matrix;
  /** Entities, by names such as `flags/Flag`. */
  readonly entities: Matrix;
  /** Operations that only gateways may run, such as `Query.apiKeyCredential`. */
  readonly gatewayOnly: readonly string[];
}

function matrixOf(section: string): Matrix {
  const [head = '', , ...rows] = section.split('\n').filter((line) => line.startsWith('|'));
  const cells = (row: string) =>
    row
      .split('|')
      .slice(1, -1)
      .map((cell) => cell.trim());
  if (cells(head).slice(1).join() !== CALLERS.join())
    throw new Error(`docs/reference/permissions.md: these are not the callers: ${head}`);
  const matrix = new Map<string, ReadonlySet<CallerName>>();
  for (const row of rows) {
    const [quoted = '', ...values] = cells(row);
    const name = /^`(\S+)`$/.exec(quoted)?.[1];
    if (
      name === undefined ||
      matrix.has(name) ||
      values.length !== CALLERS.length ||
      values.some((value) => value !== 'yes' && value !== '–')
    ) {
      throw new Error(
        `docs/reference/permissions.md: not a row of its own, or with other cells than yes and –: ${row}`,
      );
    }
    matrix.set(name, new Set(CALLERS.filter((_, index) => values[index] === 'yes')));
  }
  return matrix;
}

/** Reads the page. Throws an Error where its form is not the expected one. */
export function readPermissionMatrix(): PermissionMatrix {
  const page = readFileSync(new URL('../../docs/reference/permissions.md', import.meta.url), 'utf8');
  const [, operations = '', fields = '', inside = ''] = page.split('\n## ');
  return {
    operations: matrixOf(operations),
    fields: matrixOf(fields),
    entities: matrixOf(inside),
    gatewayOnly: Array.from(inside.matchAll(/^- `(\S+)`$/gm), ([, name = '']) => name),
  };
}
