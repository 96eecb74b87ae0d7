/**
 * The wire forms of each version of the agent, recorded: what it asks, and the part of the API that it needs. A version
 * that is in vehicles is never recorded anew.
 */
import { readdirSync, readFileSync } from 'node:fs';

export interface WireVersion {
  readonly version: string;
  /** The operations that the agent sends, by what they are for. */
  readonly documents: Readonly<Record<string, string>>;
  /** The control plane of that time, as an SDL, line by line. */
  readonly controlPlane: readonly string[];
}

/** All recorded versions, oldest first. */
export function wireVersions(): WireVersion[] {
  const folder = new URL('wire/', import.meta.url);
  return readdirSync(folder)
    .map((name) => ({
      version: name.replace(/\.json$/, ''),
      ...(JSON.parse(readFileSync(new URL(name, folder), 'utf8')) as Omit<WireVersion, 'version'>),
    }))
    .sort((a, b) => a.version.localeCompare(b.version, 'en', { numeric: true }));
}
