import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { REPOSITORY, readSources } from '../testing/sources.ts';

const ROOMS = ['agent', 'benchmarks', 'commands', 'core', 'e2e', 'gateway', 'main', 'prisma', 'subgraphs', 'tests'];
/**
 * Files that no import statement names: the agent's library, files that a tool loads by their path, and a file that a
 * build puts in the place of another.
 */
const ENTRIES =
  /^(?:agent\/library\.ts|main\/console\/built-console\.ts|jest\.config\.ts|oxlint\.config\.js)$|\/main\.ts$/;

const texts = new Map([['jest.config.ts', readFileSync(`${REPOSITORY}jest.config.ts`, 'utf8')], ...readSources(ROOMS)]);

const EXPORT =
  /^export (?:declare )?(?:abstract )?(?:async )?(?:const|let|class|function\*?|enum) ([A-Za-z_$][\w$]*)/gm;
const NAMED = /^(?:import|export) (?:type )?\{([^}]*)\} from '(\.[^']+)'/gm;
const WHOLE = /(?:^import (?:type )?\* as \w+ from |^export (?:type )?\* from |\bimport\()\s*'(\.[^']+)'/gm;

const at = (from: string, path: string) => join(dirname(from), path);

/** Gives the names that other files import from each file; `*` where one of them imports it whole. */
function imported(): Map<string, Set<string>> {
  const found = new Map<string, Set<string>>();
  const note = (file: string, name: string) => found.set(file, (found.get(file) ?? new Set()).add(name));
  for (const [from, text] of texts) {
    for (const [, names = '', path = ''] of text.matchAll(NAMED))
      for (const name of names.split(',')) {
        const [first = ''] = name
          .trim()
          .replace(/^type /, '')
          .split(' as ');
        if (first !== '') note(at(from, path), first);
      }
    for (const [, path = ''] of text.matchAll(WHOLE)) note(at(from, path), '*');
  }
  return found;
}

const uses = imported();

describe('exports', () => {
  test('are found, and imports of them', () => {
    expect(texts.size).toBeGreaterThan(900);
    expect(uses.get('core/errors.ts')?.has('FleetFlagError')).toBe(true);
  });

  test('are imported by some other file', () => {
    const unused = Array.from(texts).flatMap(([file, text]) =>
      ENTRIES.test(file) || uses.get(file)?.has('*') === true
        ? []
        : Array.from(text.matchAll(EXPORT), ([, name = '']) => name)
            .filter((name) => uses.get(file)?.has(name) !== true)
            .map((name) => `${file}: ${name}`),
    );
    expect(unused).toEqual([]);
  });
});
