/** The console's files and policy, as the gateway serves them. */
import { pageFile } from '../serving/page-file.ts';
import { sitePolicy, type Site } from '../serving/serve-site.ts';

/** A file of the console. All but the page and the licences have a digest of their content in their names. */
export interface ConsoleFile {
  readonly name: string;
  readonly content: Uint8Array;
}

const PAGE = 'index.html';
const ASSETS = '/console/assets/';

function fileOf({ name, content }: ConsoleFile) {
  if (name === PAGE) return pageFile('/console', content, { extension: '.html' });
  const isDigested = /-[0-9A-Z]{8}\.\w+$/.test(name);
  return pageFile(ASSETS + name, content, { caching: isDigested ? 'immutable' : 'revalidate' });
}

/**
 * Makes the site at `/console`. Every address below it that is no file's is one of the page's own, such as
 * `/console/flags/lane_keep.v2`.
 *
 * @param bundle gives the files; called at the first request
 */
export function consoleSite(bundle: () => Promise<readonly ConsoleFile[]>): Site {
  return {
    routes: ['/console', '/console/*'],
    policy: `${sitePolicy()}; require-trusted-types-for 'script'; trusted-types 'none'`,
    load: async () => (await bundle()).map(fileOf),
    otherwise: (path) => (path.startsWith(ASSETS) ? null : '/console'),
  };
}
