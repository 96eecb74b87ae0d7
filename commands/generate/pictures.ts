/** Draws the pictures of docs/: each `docs/pictures/*.dot` (Graphviz) as an SVG beside it. */
import { readFile, readdir, writeFile } from 'node:fs/promises';
import { instance } from '@viz-js/viz';

const FOLDER = new URL('../../docs/pictures/', import.meta.url);

/** Draws each picture; gives the SVGs by file name. */
async function drawPictures(): Promise<Map<string, string>> {
  const viz = await instance();
  const sources = (await readdir(FOLDER)).filter((name) => name.endsWith('.dot')).sort();
  const drawn = new Map<string, string>();
  for (const source of sources) {
    const svg = viz.renderString(await readFile(new URL(source, FOLDER), 'utf8'), { format: 'svg' });
    drawn.set(source.replace(/\.dot$/, '.svg'), svg);
  }
  return drawn;
}

/** Draws all pictures again. */
export async function writePictures(): Promise<void> {
  for (const [name, svg] of await drawPictures()) await writeFile(new URL(name, FOLDER), svg);
}

/** Gives the pictures that differ from their sources, as paths from the repository's root. */
export async function stalePictures(): Promise<string[]> {
  const stale: string[] = [];
  for (const [name, svg] of await drawPictures()) {
    const present = await readFile(new URL(name, FOLDER), 'utf8').catch(() => null);
    if (present !== svg) stale.push(`docs/pictures/${name}`);
  }
  return stale;
}
