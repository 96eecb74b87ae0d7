/**
 * The metrics store's part of a backup: taken by the process that has the store open, and put back into an empty one.
 */
import { cp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Configuration } from '../../../main/configuration.ts';
import { askForMetricsBackup } from '../../../main/stores/local-socket.ts';
import {
  backUpEmbedded,
  fileDestination,
  restoreMetrics,
  stagingFolder,
} from '../../../subgraphs/experiments/clickhouse/metrics-backup.ts';
import {
  deployMetricsMigrations,
  metricsMigrationStatus,
} from '../../../subgraphs/experiments/clickhouse/migrations.ts';
import { embeddedMetricsPath, openMetricsStore } from '../../../subgraphs/shared/stores/metrics-store.ts';
import type { Manifest } from './manifest.ts';

const FOLDER = 'metrics';

type Settings = Pick<Configuration, 'clickhouseUrl' | 'databaseUrl' | 'dataDir'>;

/** Says why the measurements are no part of a backup by these settings; null where they are. */
export function metricsLeftOut({ clickhouseUrl, databaseUrl }: Settings): string | null {
  if (clickhouseUrl !== null)
    return 'The measurements are on a ClickHouse server, whose files a backup of this machine cannot hold: back it up there (docs/operations/backup.md).';
  if (databaseUrl !== null)
    return 'The measurements are in the data folder of the experiments subgraph: run this command there, with its settings and without DATABASE_URL, or copy them with that machine.';
  return null;
}

/** Copies the embedded metrics store into `metrics/` of the folder, whether or not a control plane has it open. */
export async function dumpMetrics(settings: Settings, folder: string): Promise<void> {
  const asked = await askForMetricsBackup(settings.dataDir);
  const made = asked ?? (await backUpHere(settings));
  try {
    await cp(made, join(folder, FOLDER), { recursive: true });
  } finally {
    await rm(made, { recursive: true, force: true });
  }
}

async function backUpHere({ dataDir }: Settings): Promise<string> {
  const path = embeddedMetricsPath(dataDir);
  const store = await openMetricsStore({ url: null, path });
  try {
    return await backUpEmbedded(store.client, path);
  } finally {
    await store.close();
  }
}

/**
 * Fills the empty embedded metrics store of the data folder.
 *
 * @throws Error where the store is not empty, or its backup is of a newer FleetFlag
 */
export async function loadMetrics({ dataDir }: Settings, folder: string): Promise<void> {
  const path = embeddedMetricsPath(dataDir);
  const staged = await stagingFolder(path);
  try {
    await cp(join(folder, FOLDER), staged, { recursive: true });
    const store = await openMetricsStore({ url: null, path });
    try {
      await restoreMetrics(store.client, fileDestination(staged));
      const { unknown } = await metricsMigrationStatus(store.client);
      if (unknown.length > 0)
        throw new Error(
          `The measurements are of a newer FleetFlag: this one does not know the migrations ${unknown.join(', ')}.`,
        );
      await deployMetricsMigrations(store.client);
    } finally {
      await store.close();
    }
  } finally {
    await rm(staged, { recursive: true, force: true });
  }
}

/** Gives the part of the manifest about the measurements. */
export const metricsPart = (settings: Settings): Pick<Manifest, 'metrics' | 'metricsLeftOut'> => {
  const leftOut = metricsLeftOut(settings);
  return { metrics: leftOut === null ? { folder: FOLDER } : null, metricsLeftOut: leftOut };
};
