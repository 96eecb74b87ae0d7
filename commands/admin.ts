/** `npm run admin -- <command>`: administration on the server itself, beside the API. */
import { nearestName } from '../core/validation/nearest-name.ts';
import {
  CREATE_USER_USAGE,
  RESET_PASSWORD_USAGE,
  createUserCommand,
  resetPasswordCommand,
} from './admin/access/accounts.ts';
import { ADVANCE_USAGE, advanceRevisionCommand } from './admin/signing/advance-revision.ts';
import { API_KEY_USAGE, apiKeyCommand } from './admin/access/api-key.ts';
import { BACKUP_USAGE, backupCommand } from './admin/backup/backup.ts';
import { RESTORE_USAGE, restoreCommand } from './admin/backup/restore.ts';
import { VERIFY_BACKUP_USAGE, verifyBackupCommand } from './admin/backup/verify-backup.ts';
import { AUDIT_EXPORT_USAGE, auditExportCommand } from './admin/audit-log/audit-export.ts';
import { UsageError, type AdminCommand } from './admin/command.ts';
import { EXPORT_USAGE, exportCommand } from './admin/flags/export.ts';
import { IMPORT_USAGE, importCommand } from './admin/flags/import.ts';
import { RESIGN_USAGE, resignDefinitionsCommand } from './admin/signing/resign-definitions.ts';
import { ROTATE_USAGE, rotateSigningKeyCommand } from './admin/signing/rotate-signing-key.ts';
import { VEHICLE_TOKEN_USAGE, vehicleTokenCommand } from './admin/access/vehicle-token.ts';
import { answerHelp } from './command-line.ts';
import { ConfigurationError, readConfiguration } from '../main/configuration.ts';

const COMMANDS = new Map<string, { run: AdminCommand; usage: string }>([
  ['create-user', { run: createUserCommand, usage: CREATE_USER_USAGE }],
  ['reset-password', { run: resetPasswordCommand, usage: RESET_PASSWORD_USAGE }],
  ['vehicle-token', { run: vehicleTokenCommand, usage: VEHICLE_TOKEN_USAGE }],
  ['api-key', { run: apiKeyCommand, usage: API_KEY_USAGE }],
  ['export', { run: exportCommand, usage: EXPORT_USAGE }],
  ['audit-export', { run: auditExportCommand, usage: AUDIT_EXPORT_USAGE }],
  ['import', { run: importCommand, usage: IMPORT_USAGE }],
  ['rotate-signing-key', { run: rotateSigningKeyCommand, usage: ROTATE_USAGE }],
  ['backup', { run: backupCommand, usage: BACKUP_USAGE }],
  ['restore', { run: restoreCommand, usage: RESTORE_USAGE }],
  ['verify-backup', { run: verifyBackupCommand, usage: VERIFY_BACKUP_USAGE }],
  ['advance-revision', { run: advanceRevisionCommand, usage: ADVANCE_USAGE }],
  ['resign-definitions', { run: resignDefinitionsCommand, usage: RESIGN_USAGE }],
]);

/** Gives the message with its remedy first and the cause after it. */
function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const cause =
    error.cause instanceof Error && !error.message.includes(error.cause.message) ? ` (${error.cause.message})` : '';
  return `${error.message}${cause}`;
}

const [name = '', ...args] = process.argv.slice(2);
const command = COMMANDS.get(name);
const usage = `Usage:\n\n${[...COMMANDS.values()].map((one) => `  ${one.usage}`).join('\n\n')}\n\n  --help, --version`;
answerHelp(command?.usage ?? usage);
try {
  if (command === undefined) {
    const nearest = nearestName(name, COMMANDS.keys());
    throw new UsageError(
      `${name === '' ? '' : `Unknown command ${name}.${nearest === null ? '' : ` Did you mean ${nearest}?`}\n\n`}${usage}`,
    );
  }
  process.exitCode = await command.run(args, readConfiguration(), { out: console.log, err: console.error });
} catch (error) {
  const isUsage = error instanceof UsageError || error instanceof ConfigurationError;
  console.error(isUsage ? error.message : messageOf(error));
  process.exitCode = isUsage ? 2 : 1;
}
