/** The repository's own sources, for tests of what they have in common. */
import { readFileSync, readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** The folder of the project. */
export const REPOSITORY = fileURLToPath(new URL('../../', import.meta.url));

const PASSED_OVER = /(?:^|\/)(?:node_modules|generated|dist)\//;

/**
 * Reads the TypeScript sources below some folders of the project, without those that a generator or a build has
 * written. Gives their texts by their paths from the project's folder.
 */
export function readSources(folders: readonly string[]): Map<string, string> {
  const paths = folders.flatMap((folder) =>
    readdirSync(`${REPOSITORY}${folder}`, { recursive: true, encoding: 'utf8' }).map((name) => `${folder}/${name}`),
  );
  return new Map(
    paths
      .filter((path) => /\.tsx?$/.test(path) && !PASSED_OVER.test(path))
      .map((path) => [path, readFileSync(`${REPOSITORY}${path}`, 'utf8')]),
  );
}
