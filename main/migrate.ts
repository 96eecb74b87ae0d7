/**
 * `npm run migrate -- deploy|status|down [n]`: see subgraphs/shared/database/migrate-command.ts.
 */
import { runMigrateCommand } from '../subgraphs/shared/database/migrate-command.ts';
import { ConfigurationError, readConfiguration } from './configuration.ts';

try {
  process.exitCode = await runMigrateCommand(process.argv.slice(2), readConfiguration());
} catch (error) {
  if (!(error instanceof ConfigurationError)) throw error;
  console.error(error.message);
  process.exitCode = 2;
}
