import { deployMigrations, migrationStatus, rollBackMigrations } from './migrations.ts';
import { findEmbeddedPostgres, startEmbeddedPostgres } from './embedded-postgres.ts';

export interface MigrateSettings {
  /** The server; null: the embedded one of `dataDir`. */
  readonly databaseUrl: string | null;
  readonly dataDir: string;
}

/** Where the command writes lines. */
export interface CommandOutput {
  readonly out: (line: string) => void;
  readonly err: (line: string) => void;
}

const USAGE = `Usage: npm run migrate -- <command>

  deploy      apply the pending migrations
  status      show what is applied and what is pending
  down [n]    take back the newest n migrations (default 1), newest first

The database is that of DATABASE_URL, or the embedded PostgreSQL in the data folder where it is not set.`;

/**
 * `npm run migrate`. Gives the exit code: 0 done (for `status`: up to date), 1 failed (for `status`: not up to date),
 * 2 wrong usage.
 *
 * @param args what follows the program's name
 */
export async function runMigrateCommand(args: readonly string[], settings: MigrateSettings, output: CommandOutput = { out: console.log, err: console.error }): Promise<number> {
  const command = parse(args);
  if (!command) {
    output.err(USAGE);
    return 2;
  }
  try {
    return await withDatabase(settings, output, (url) => command(url, output));
  } catch (error) {
    output.err(messageOf(error));
    return 1;
  }
}

type Command = (url: string, output: CommandOutput) => Promise<number>;

function parse([name, ...rest]: readonly string[]): Command | null {
  if (name === 'deploy' && rest.length === 0) return deploy;
  if (name === 'status' && rest.length === 0) return status;
  const [count = '1', ...more] = rest;
  if (name === 'down' && more.length === 0 && /^[1-9]\d{0,5}$/.test(count)) return (url, output) => down(url, Number(count), output);
  return null;
}

async function deploy(url: string, { out }: CommandOutput): Promise<number> {
  const applied = await deployMigrations({ url });
  for (const name of applied) out(`applied ${name}`);
  out(applied.length === 0 ? 'Nothing to do: all migrations are applied.' : `Migrations applied: ${applied.length}.`);
  return 0;
}

async function down(url: string, count: number, { out }: CommandOutput): Promise<number> {
  const names = await rollBackMigrations({ url }, count);
  for (const name of names) out(`took back ${name}`);
  out(names.length === 0 ? 'Nothing to do: no migration is applied.' : `Migrations taken back: ${names.length}.`);
  return 0;
}

async function status(url: string, { out }: CommandOutput): Promise<number> {
  const { applied, pending, edited, failed, unknown } = await migrationStatus({ url });
  const note = (name: string) => (edited.includes(name) ? ' (its migration.sql was changed afterwards)' : unknown.includes(name) ? ' (not in this checkout)' : '');
  for (const name of applied) out(`applied  ${name}${note(name)}`);
  for (const name of pending) out(`pending  ${name}${failed.includes(name) ? ' (begun and not finished; deploy tries it again)' : ''}`);
  const clean = pending.length === 0 && edited.length === 0 && unknown.length === 0;
  out(`${applied.length} applied, ${pending.length} pending${clean ? ': up to date.' : '.'}`);
  return clean ? 0 : 1;
}

/** A FleetFlag that runs on the same data folder has the server up: its server is used then. */
async function withDatabase(settings: MigrateSettings, { err }: CommandOutput, use: (url: string) => Promise<number>): Promise<number> {
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

/** What is to be done comes first, the driver's own words after it. */
function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const cause = error.cause instanceof Error ? error.cause.message || (error.cause as { code?: string }).code : undefined;
  return cause && !error.message.includes(cause) ? `${error.message} (${cause})` : error.message;
}
