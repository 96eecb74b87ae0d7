/**
 * The playground at `/`: GraphiQL from its package, with a bar to sign in with and a menu of tasks. It loads nothing
 * from other hosts.
 */
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { basename, dirname, join } from 'node:path';
import { digestedName, pageFile, type PageFile } from '../serving/page-file.ts';
import { sitePolicy, type Site } from '../serving/serve-site.ts';
import { NIGHT_TASKS } from './night-tasks.ts';

const OWN = new URL('./', import.meta.url);
const ownFile = (name: string) => readFile(new URL(name, OWN), 'utf8');

/** The page's own files. Browsers request them each time, and get 304 unless another version runs. */
const OWN_FILES = [
  'playground.css',
  'icon.svg',
  'environment.js',
  'playground.js',
  'session.js',
  'request.js',
  'events.js',
  'tasks.js',
];

const at = (name: string) => `/playground/${name}`;

/** Gives the client of graphql-ws as its package has it: the module, and what that imports beside itself. */
async function graphqlWsClient(): Promise<PageFile[]> {
  const folder = dirname(createRequire(import.meta.url).resolve('graphql-ws'));
  const files: PageFile[] = [];
  const add = async (name: string): Promise<void> => {
    const text = await readFile(join(folder, name), 'utf8');
    files.push(pageFile(at(`graphql-ws/${name}`), text));
    const imports = Array.from(text.matchAll(/from '\.\/([\w-]+\.js)'/g), ([, imported = '']) => basename(imported));
    for (const imported of new Set(imports)) await add(imported);
  };
  await add('client.js');
  return files;
}

/** The parts of GraphiQL, whose names change with their content, under the placeholders that page.html has for them. */
async function graphiql(): Promise<ReadonlyMap<string, PageFile>> {
  const parts = await import('@graphql-yoga/render-graphiql/graphiql');
  const files = {
    'graphiql.css': parts.css,
    'graphiql.js': parts.js,
    'editor.worker.js': parts.editorWorkerService,
    'json.worker.js': parts.jsonWorker,
    'graphql.worker.js': parts.graphqlWorker,
  };
  return new Map(
    Object.entries(files).map(([name, text]) => [
      name,
      pageFile(at(digestedName(name, text)), text, { caching: 'immutable' }),
    ]),
  );
}

async function load(): Promise<PageFile[]> {
  const [html, parts, own, client] = await Promise.all([
    ownFile('page.html'),
    graphiql(),
    Promise.all(OWN_FILES.map(async (name) => pageFile(at(name), await ownFile(name)))),
    graphqlWsClient(),
  ]);
  const page = html.replaceAll(/\{([\w.]+)\}/g, (_, name: string) => {
    const part = parts.get(name);
    if (part === undefined) throw new Error(`page.html has a placeholder for ${name}, which GraphiQL does not have`);
    return part.path;
  });
  const operations = `export default ${JSON.stringify(NIGHT_TASKS)};\n`;
  return [
    pageFile('/', page, { extension: '.html' }),
    ...parts.values(),
    ...own,
    pageFile(at('operations.js'), operations),
    ...client,
  ];
}

/** The playground. GraphiQL has nine megabytes, which are loaded when somebody first opens the page. */
export const PLAYGROUND: Site = {
  routes: ['/', '/playground/*'],
  // Monaco, GraphiQL's editor, makes style elements and attributes as it draws, and fonts and icons from data:
  // addresses.
  policy: sitePolicy({ style: ["'unsafe-inline'"], image: ['data:'], font: ['data:'] }),
  load,
};
