import { deployMigrations, migrationStatus, rollBackMigrations, type MigrationStatus } from './migrations.ts';
import { findEmbeddedPostgres, startEmbeddedPostgres } from '../embedded/embedded-postgres.ts';
import { errorCode } from '../../../../core/caught-error.ts';

/** The settings that the migrate command uses. */
export interface MigrateSettings {
  /** The URL of the server; null for the embedded one of `dataDir`. */
  readonly databaseUrl: string | null;
  readonly dataDir: string;
}

/** Migrations of the metrics store; see subgraphs/experiments/clickhouse/migrations.ts. */
export interface MetricsMigrations {
  deploy(): Promise<readonly string[]>;
  status(): Promise<Pick<MigrationStatus, 'applied' | 'pending' | 'edited' | 'unknown'>>;
  down(count: number): Promise<readonly string[]>;
}

/** Opens the metrics store while `use` runs. Null when this command has no metrics store to migrate. */
export type WithMetrics = (<T>(use: (migrations: MetricsMigrations) => Promise<T>) => Promise<T>) | null;

/** The command's output streams, one line a call. */
export interface CommandOutput {
  readonly out: (line: string) => void;
  readonly err: (line: string) => void;
}

/** The help text of `npm run migrate`. */
export const MIGRATE_USAGE = `Usage: npm run migrate -- <command>

  deploy      apply the pending migrations
  status      show what is applied and what is pending
  down [n]    roll back the newest n migrations (default 1), newest first
  down-metrics [n]
              the same for the metrics store, with all measurements in the tables that are dropped
  --help, --version

The database is that of DATABASE_URL, or the embedded PostgreSQL in the data folder where it is not set. The metrics
store is that of CLICKHOUSE_URL, or the embedded one where neither is set; with DATABASE_URL alone it is left to the
experiments subgraph, which makes its tables itself.`;

/**
 * Runs `npm run migrate`. Gives the exit code: 0 for success (for `status`: up to date), 1 for failure (for `status`:
 * not up to date), 2 for wrong usage.
 *
 * @param args the arguments after the program's name
 */
export async function runMigrateCommand(
  args: readonly string[],
  settings: MigrateSettings,
  output: CommandOutput = { out: console.log, err: console.error },
  metrics: WithMetrics = null,
): Promise<number> {
  const command = parse(args);
  if (!command) {
    output.err(
      args.length === 0 ? MIGRATE_USAGE : `Unknown command or argument "${args.join(' ')}".\n\n${MIGRATE_USAGE}`,
    );
    return 2;
  }
  try {
    return await command({ settings, output, metrics });
  } catch (error) {
    output.err(messageOf(error));
    return 1;
  }
}

interface Task {
  readonly settings: MigrateSettings;
  readonly output: CommandOutput;
  readonly metrics: WithMetrics;
}
type Command = (task: Task) => Promise<number>;

function parse([name, ...rest]: readonly string[]): Command | null {
  if (name === 'deploy' && rest.length === 0) return deploy;
  if (name === 'status' && rest.length === 0) return status;
  const [count = '1', ...more] = rest;
  if (name === 'down' && more.length === 0 && /^[1-9]\d{0,5}$/.test(count)) return (task) => down(task, Number(count));
  if (name === 'down-metrics' && more.length === 0 && /^[1-9]\d{0,5}$/.test(count))
    return (task) => downMetrics(task, Number(count));
  return null;
}

async function deploy({ settings, output, metrics }: Task): Promise<number> {
  const { out } = output;
  const applied = [
    ...(await withDatabase(settings, output, (url) => deployMigrations({ url }))),
    ...((await metrics?.((migrations) => migrations.deploy())) ?? []),
  ];
  for (const name of applied) out(`applied ${name}`);
  out(applied.length === 0 ? 'Nothing to do: all migrations are applied.' : `Migrations applied: ${applied.length}.`);
  return 0;
}

async function down({ settings, output }: Task, count: number): Promise<number> {
  return tellTakenBack(output, await withDatabase(settings, output, (url) => rollBackMigrations({ url }, count)));
}

async function downMetrics({ output, metrics }: Task, count: number): Promise<number> {
  if (metrics === null) throw new Error('No metrics store is configured: set CLICKHOUSE_URL.');
  return tellTakenBack(output, await metrics((migrations) => migrations.down(count)));
}

function tellTakenBack({ out }: CommandOutput, names: readonly string[]): number {
  for (const name of names) out(`rolled back ${name}`);
  out(names.length === 0 ? 'Nothing to do: no migration is applied.' : `Migrations rolled back: ${names.length}.`);
  return 0;
}

async function status({ settings, output, metrics }: Task): Promise<number> {
  const upToDate = tellStatus(output, await withDatabase(settings, output, (url) => migrationStatus({ url })));
  if (metrics === null) return upToDate ? 0 : 1;
  output.out('Metrics store:');
  const metricsUpToDate = tellStatus(output, { failed: [], ...(await metrics((migrations) => migrations.status())) });
  return upToDate && metricsUpToDate ? 0 : 1;
}

/** Prints the status. Gives whether the database is up to date and unchanged. */
function tellStatus({ out }: CommandOutput, { applied, pending, edited, failed, unknown }: MigrationStatus): boolean {
  const note = (name: string) =>
    edited.includes(name)
      ? ' (its script was changed afterwards)'
      : unknown.includes(name)
        ? ' (not in this checkout)'
        : '';
  for (const name of applied) out(`applied  ${name}${note(name)}`);
  for (const name of pending)
    out(`pending  ${name}${failed.includes(name) ? ' (started but not finished; deploy tries it again)' : ''}`);
  const clean = pending.length === 0 && edited.length === 0 && unknown.length === 0;
  out(`${applied.length} applied, ${pending.length} pending${clean ? ': up to date.' : '.'}`);
  return clean;
}

/** Opens the database while `use` runs. When a FleetFlag runs on the same data folder, its embedded server is used. */
async function withDatabase<T>(
  settings: MigrateSettings,
  { err }: CommandOutput,
  use: (url: string) => Promise<T>,
): Promise<T> {
  if (settings.databaseUrl !== null) return use(settings.databaseUrl);
  const running = await findEmbeddedPostgres(settings.dataDir);
  if (running !== null) return use(running);
  const server = await startEmbeddedPostgres({ dataDir: settings.dataDir, log: err });
  try {
    return await use(server.url);
  } finally {
    await server.stop();
  }
}

/** Gives the message with its remedy first and the driver's own words after it. */
function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const cause = error.cause instanceof Error ? error.cause.message || errorCode(error.cause) : undefined;
  return cause && !error.message.includes(cause) ? `${error.message} (${cause})` : error.message;
}
