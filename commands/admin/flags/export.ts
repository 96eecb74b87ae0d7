/** `npm run admin -- export`: writes an environment's flags as a YAML file (docs/guides/import-export.md). */
import { parseArgs } from 'node:util';
import { exportEnvironment } from '../../../subgraphs/flags/import-export/import-service.ts';
import { withAdminDatabase } from '../admin-database.ts';
import { readArguments, type AdminCommand } from '../command.ts';
import { readEnvironmentOption } from '../environment-option.ts';
import { writeWhole } from '../whole-file.ts';

/** The help text of `export`. */
export const EXPORT_USAGE = `npm run admin -- export --environment development|staging|production [--file FLAGS.yaml]
    Writes the environment's flags to the file, or to the output (then: npm run --silent admin -- export …).`;

/** Runs `export`. Exit codes: 0 done, 1 failed, 2 wrong usage. */
export const exportCommand: AdminCommand = async (args, configuration, output) => {
  const { environment, file } = readArguments(EXPORT_USAGE, () => {
    const { values } = parseArgs({
      args: [...args],
      options: { environment: { type: 'string' }, file: { type: 'string' } },
    });
    return { environment: readEnvironmentOption(values.environment), file: values.file };
  });
  const text = await withAdminDatabase(configuration, output, (prisma) => exportEnvironment(prisma, environment));
  if (file === undefined) output.out(text.replace(/\n$/, ''));
  else await writeWhole(file, [text], { replace: true });
  return 0;
};
