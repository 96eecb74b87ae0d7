/**
 * The recorded wire forms of each version of the agent: its operations, and the part of the API that they need. The
 * record of a version that runs in vehicles never changes.
 */
import { readdirSync, readFileSync } from 'node:fs';

/** The wire form of one version of the agent. */
export interface WireVersion {
  readonly version: string;
  /** The operations that the agent sends, by their purpose. */
  readonly documents: Readonly<Record<string, string>>;
  /** The SDL of the control plane of that time, line by line. */
  readonly controlPlane: readonly string[];
}

/** Gives all recorded versions, the oldest first. */
export function wireVersions(): WireVersion[] {
  const folder = new URL('wire/', import.meta.url);
  return readdirSync(folder)
    .map((name) => ({
      version: name.replace(/\.json$/, ''),
      ...(JSON.parse(readFileSync(new URL(name, folder), 'utf8')) as Omit<WireVersion, 'version'>),
    }))
    .sort((a, b) => a.version.localeCompare(b.version, 'en', { numeric: true }));
}
