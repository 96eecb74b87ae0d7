/**
 * A child process of metrics-store.test.ts: opens the embedded store in the given folder, stores one row, reports that,
 * and uses the folder until it is killed.
 */
import { openMetricsStore } from '../stores/metrics-store.ts';

const [path = ''] = process.argv.slice(2);
const { client } = await openMetricsStore({ url: null, path });
await client.command({ query: 'CREATE TABLE kept (value UInt32) ENGINE = MergeTree ORDER BY value' });
await client.insert({ table: 'kept', values: [{ value: 7 }], format: 'JSONEachRow' });
process.stdout.write('stored\n');
// Its parent may die without killing it; then the end of its input ends it.
process.stdin.resume().on('end', () => process.exit(0));
