/** The removal of old backups beside a new one. Only folders with a manifest are touched. */
import { readdir, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { readBackupManifest, rewriteManifest, type Manifest } from './manifest.ts';

const DAY_MS = 86_400_000;

/** The numbers of days for which backups and their measurements are kept; null for ever. */
export interface Retention {
  readonly keepDays: number | null;
  readonly keepMetricsDays: number | null;
}

/**
 * Removes the backups beside the newest that are older than `keepDays`, and the measurements of those older than
 * `keepMetricsDays`. Ages are counted from when the newest was taken.
 */
export async function prune(newest: string, retention: Retention, progress: (line: string) => void): Promise<void> {
  if (retention.keepDays === null && retention.keepMetricsDays === null) return;
  const { takenAt } = await readBackupManifest(newest);
  const parent = dirname(newest);
  for (const entry of await readdir(parent, { withFileTypes: true })) {
    const folder = join(parent, entry.name);
    if (!entry.isDirectory() || folder === newest) continue;
    // Another folder, or a backup that is being written.
    const manifest = await readBackupManifest(folder).catch(() => null);
    if (manifest !== null) await pruneOne(folder, manifest, Date.parse(takenAt), retention, progress);
  }
}

async function pruneOne(
  folder: string,
  manifest: Manifest,
  now: number,
  { keepDays, keepMetricsDays }: Retention,
  progress: (line: string) => void,
): Promise<void> {
  const days = (now - Date.parse(manifest.takenAt)) / DAY_MS;
  if (keepDays !== null && days > keepDays) {
    await rm(folder, { recursive: true });
    progress(`Removed ${folder}, of ${manifest.takenAt}.`);
  } else if (keepMetricsDays !== null && days > keepMetricsDays && manifest.metrics !== null) {
    const prefix = `${manifest.metrics.folder}/`;
    // The manifest first: a backup whose manifest names files that are gone would be damaged.
    await rewriteManifest(folder, {
      ...manifest,
      metrics: null,
      metricsLeftOut: `The measurements were kept for ${keepMetricsDays} days.`,
      files: manifest.files.filter(({ path }) => !path.startsWith(prefix)),
    });
    await rm(join(folder, manifest.metrics.folder), { recursive: true });
    progress(`Removed the measurements of ${folder}, of ${manifest.takenAt}.`);
  }
}
