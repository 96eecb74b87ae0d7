import { describe, expect, test } from '@jest/globals';
import { readSources } from '../testing/sources.ts';

const ROOMS = ['agent', 'benchmarks', 'commands', 'core', 'e2e', 'gateway', 'main', 'prisma', 'subgraphs', 'tests'];
/** Programs that import nothing of the others: a name of theirs may be that of the same thing on the server. */
const PROGRAMS = [ROOMS, ['console'], ['examples']];

/** The names that may be declared twice, each with its reason. */
const EXEMPT: Readonly<Record<string, string>> = {
  run: 'each benchmark has one, which benchmarks/run.ts calls',
  bundleConsole: 'the build puts built-console.ts in the place of bundle-console.ts',
  eventually: 'the end-to-end tests have the same with a longer timeout',
  stderr: 'the agent, which is packed alone, keeps less in memory than the commands',
  stdout: 'the agent, which is packed alone, keeps less in memory than the commands',
  client: 'the example shows the same page with Apollo Client and with urql',
  FlagsPage: 'the example shows the same page with Apollo Client and with urql',
};

/** The texts in Korean have the names of those in English; tests/console/console-words.test.ts compares the two. */
const TWINS = /^console\/words\/ko\//;

const EXPORT =
  /^export (?:declare )?(?:abstract )?(?:async )?(?:const|let|class|function\*?|enum|interface|type) ([A-Za-z_$][\w$]*)/gm;

/** An export of what another file declares. Only the front of the agent's package has a reason for it. */
const PASSED_ON = /^export (?:type )?(?:\{|\*).*/gm;
const PACKAGE_FRONT = 'agent/library.ts';

/** Gives the exported names that several files of a program declare, with those files. */
function declaredTwice(folders: readonly string[]): Map<string, readonly string[]> {
  const found = new Map<string, Set<string>>();
  for (const [file, text] of readSources(folders))
    if (!TWINS.test(file))
      for (const [, name = ''] of text.matchAll(EXPORT)) found.set(name, (found.get(name) ?? new Set()).add(file));
  return new Map(
    Array.from(found, ([name, files]) => [name, [...files]] as const).filter(([, files]) => files.length > 1),
  );
}

describe('exported names', () => {
  const repeated = new Map(PROGRAMS.flatMap((folders) => [...declaredTwice(folders)]));

  test('are declared by one file of a program, so that a reader of any line knows what is meant', () => {
    expect(Array.from(repeated).filter(([name]) => !Object.hasOwn(EXEMPT, name))).toEqual([]);
  });

  test('are exported by the file that declares them, so that an import says where that is', () => {
    const passedOn = [...readSources(PROGRAMS.flat())].flatMap(([file, text]) =>
      file === PACKAGE_FRONT ? [] : Array.from(text.matchAll(PASSED_ON), ([line]) => `${file}: ${line}`),
    );
    expect(passedOn).toEqual([]);
  });

  test('are exempt only while they are declared twice', () => {
    expect(Object.keys(EXEMPT).filter((name) => !repeated.has(name))).toEqual([]);
  });
});
