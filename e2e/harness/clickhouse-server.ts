/**
 * A stand-in for a ClickHouse server as a process of its own. Arguments: the engine's folder, and the port (0: a free
 * one), which it prints. It ends in order on SIGTERM, and can be killed.
 */
import { serveClickHouse } from '../../subgraphs/shared/testing/clickhouse-server.ts';

const [path = '', port = '0'] = process.argv.slice(2);
const server = await serveClickHouse(path, Number(port));
process.once('SIGTERM', () => void server.close());
process.stdout.write(`ClickHouse listens on ${server.port}\n`);
