import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from '@jest/globals';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const NOT_OURS = /(^|\/)(node_modules|\.git|\.fleetflag|coverage|dist|generated)(\/|$)/;
const TEXT = /\.(ts|js|mjs|json|md|graphql|prisma|sql|ya?ml|sh|py|html|css)$|(^|\/)(Dockerfile|run)$/;

/** The repository's files of text, as paths from its root. */
function files(folder = ''): string[] {
  return readdirSync(join(ROOT, folder), { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    if (NOT_OURS.test(path)) return [];
    if (entry.isDirectory()) return files(path);
    return entry.isFile() && TEXT.test(path) && entry.name !== 'package-lock.json' ? [path] : [];
  });
}

const FILES = files();
const PAGES = FILES.filter((path) => path.endsWith('.md'));
const read = (path: string) => readFileSync(join(ROOT, path), 'utf8');
const withoutCode = (page: string) => page.replaceAll(/```.*?```/gs, '').replaceAll(/`[^`\n]*`/g, 'code');

/** The relative links of a page: where each leads, from the root of the repository, and to which heading. */
function links(path: string): { target: string; heading: string | undefined }[] {
  return Array.from(withoutCode(read(path)).matchAll(/\]\(([^()\s]*)\)/g), ([, link = '']) => link)
    .filter((link) => !/^[a-z]+:/.test(link))
    .map((link) => {
      const [file = '', heading] = link.split('#');
      return { target: file === '' ? path : join(dirname(path), file), heading };
    });
}

/** The anchors of a page, as GitHub makes them of its headings. */
function anchors(path: string): string[] {
  return Array.from(
    read(path)
      .replaceAll(/```.*?```/gs, '')
      .matchAll(/^#+ (.*)$/gm),
    ([, heading = '']) =>
      heading
        .toLowerCase()
        .replaceAll(/[^\p{L}\p{N}\s_-]/gu, '')
        .replaceAll(/\s/g, '-'),
  );
}

describe('The pages', () => {
  test('have no relative link that leads nowhere', () => {
    const broken = PAGES.flatMap((page) =>
      links(page)
        .filter(({ target, heading }) => {
          if (!existsSync(join(ROOT, target))) return true;
          return heading !== undefined && !anchors(target).includes(heading);
        })
        .map(({ target, heading }) => `${page}: ${target}${heading === undefined ? '' : `#${heading}`}`),
    );
    expect(PAGES.flatMap(links).length).toBeGreaterThan(150);
    expect(broken).toEqual([]);
  });

  test('are all linked from docs/README.md, and decisions from their index', () => {
    const linked = new Set(
      ['docs/README.md', 'docs/decisions/README.md'].flatMap((index) => links(index).map(({ target }) => target)),
    );
    const pages = PAGES.filter((path) => path.startsWith('docs/') && path !== 'docs/README.md');
    expect(pages.length).toBeGreaterThan(50);
    expect(pages.filter((path) => !linked.has(path))).toEqual([]);
  });

  test('are where code, comments and other pages say that they are', () => {
    // A migration that has been released is never changed, so a file that it names may have moved since.
    const sources = FILES.filter((path) => !path.startsWith('prisma/migrations/'));
    const named = sources.flatMap((path) =>
      // Not within an address (https://…/docs/…), and not the pattern or folder of other projects.
      Array.from(read(path).matchAll(/(?<![\w/.-])docs\/[\w/-]+\.md/g), ([page]) => ({ path, page })),
    );
    expect(named.length).toBeGreaterThan(80);
    expect(named.filter(({ page }) => !existsSync(join(ROOT, page)))).toEqual([]);
  });

  test('name no file or folder that is not there', () => {
    const named = PAGES.flatMap((page) =>
      Array.from(
        read(page).matchAll(/(?<![\w/.@-])(?:core|subgraphs|gateway|agent|main|commands|prisma|e2e|tests)\/[\w./-]+/g),
        ([path]) => ({ page, path: path.replace(/[./]+$/, '') }),
      ),
    );
    expect(named.filter(({ page }) => page === 'CONTRIBUTING.md').length).toBeGreaterThan(40);
    expect(named.filter(({ path }) => !existsSync(join(ROOT, path)))).toEqual([]);
  });
});

describe('The decisions', () => {
  const FOLDER = 'docs/decisions';
  const rows = Array.from(
    read(`${FOLDER}/README.md`).matchAll(/^\| \[(.*)\]\(([\w/-]+\.md)\) \| (\S+) \| (.+) \|$/gm),
    ([, title, file = '', date, status = '']) => ({ file, title, date, status: statusFrom('README.md', status) }),
  );
  const decisions = readdirSync(join(ROOT, FOLDER), { encoding: 'utf8', recursive: true }).filter(
    (file) => file.endsWith('.md') && file !== 'README.md',
  );

  /** A status whose link, if it has one, is written from the folder of the decisions. */
  function statusFrom(file: string, status: string): string {
    return status.replace(/\]\((.+)\)/, (_, link: string) => `](${join(dirname(file), link)})`);
  }

  test('each open with a title, a date and a status', () => {
    for (const file of decisions)
      expect({ file, head: read(`${FOLDER}/${file}`).split('\n').slice(0, 4) }).toEqual({
        file,
        head: [
          expect.stringMatching(/^# ./),
          '',
          expect.stringMatching(/^Date: \d{4}-\d\d-\d\d\. Status: (accepted|superseded by \[.+\]\(.+\.md\))\.$/),
          '',
        ],
      });
  });

  test('each stand in the index once, as they say of themselves', () => {
    const said = decisions.map((file) => {
      const [title = '', , line = ''] = read(`${FOLDER}/${file}`).split('\n');
      const [, date, status = ''] = /^Date: (\S+)\. Status: (.+)\.$/.exec(line) ?? [];
      return { file, title: title.slice(2), date, status: statusFrom(file, status) };
    });
    const byFile = (a: { file: string }, b: { file: string }) => (a.file < b.file ? -1 : 1);
    expect([...rows].sort(byFile)).toEqual(said.sort(byFile));
  });
});
