/**
 * The comparison's process of the ingestion benchmark: `ingestion-peer.ts FOLDER BATCHES ROWS`. It inserts with the
 * ClickHouse client into the embedded engine and FleetFlag's tables, ROWS an insert, which are built before the clock
 * starts. There is no network and no check. Prints `RESULT {…}`.
 */
import { METRIC_COLUMNS } from '../../subgraphs/experiments/metrics/metric-batch.ts';
import { deployMetricsMigrations } from '../../subgraphs/experiments/clickhouse/migrations.ts';
import { openMetricsStore } from '../../subgraphs/shared/stores/metrics-store.ts';
import { BATCH_ITEMS, VEHICLES, batchIdOf, batchOf, vinOf } from './ingestion-rows.ts';

const [folder = '', batches = '0', insertRows = '0'] = process.argv.slice(2);
const now = Date.now();
const store = await openMetricsStore({ url: null, path: folder });
await deployMetricsMigrations(store.client);

const clickHouseTime = (text: string) => text.slice(0, 23).replace('T', ' ');

function rowsOf(batch: number): unknown[][] {
  return Array.from({ length: VEHICLES }, (_, vehicle) =>
    batchOf(vehicle, batch, now).map(({ flagKey, metricName, timestamp, variant, value, tags }, position) => [
      flagKey,
      metricName,
      clickHouseTime(timestamp),
      vinOf(vehicle),
      batchIdOf(batch),
      position,
      variant,
      value,
      JSON.stringify(tags),
      clickHouseTime(new Date(now).toISOString()),
    ]),
  ).flat();
}

let [milliseconds, cpuSeconds] = [0, 0];
// The first is the warm-up, which the vehicles have, too.
for (let batch = 0; batch <= Number(batches); batch++) {
  const rows = rowsOf(batch);
  const [start, cpu] = [performance.now(), process.cpuUsage()];
  for (let at = 0; at < rows.length; at += Number(insertRows)) {
    await store.client.insert({
      table: 'metric_rows',
      columns: [...METRIC_COLUMNS],
      values: rows.slice(at, at + Number(insertRows)),
      format: 'JSONCompactEachRow',
    });
  }
  if (batch === 0) continue;
  milliseconds += performance.now() - start;
  const { user, system } = process.cpuUsage(cpu);
  cpuSeconds += (user + system) / 1e6;
}
await store.close();
console.log(
  `RESULT ${JSON.stringify({ milliseconds, rows: VEHICLES * Number(batches) * BATCH_ITEMS, cpuSeconds, peakMb: process.resourceUsage().maxRSS / 1_024 })}`,
);
