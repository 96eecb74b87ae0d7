/** `npm run admin -- vehicle-token`: a credential for a registered vehicle's agent, without a session. */
import { parseArgs } from 'node:util';
import { createVehicleTokens } from '../../core/protocol/vehicle-token.ts';
import { VehicleService } from '../../subgraphs/vehicles/service.ts';
import { internalSecret } from '../secrets.ts';
import { withAdminDatabase } from './admin-database.ts';
import { readArguments, type AdminCommand } from './command.ts';
import { readEnvironment } from './environment-option.ts';
import { operatorOnServer } from './operator.ts';

export const VEHICLE_TOKEN_USAGE = `npm run admin -- vehicle-token --vin VIN [--environment development|staging|production] [--days DAYS]
    Prints a token for the agent of a registered vehicle; production and 365 days unless said otherwise.`;

/** Exit codes: 0, 1 failed, 2 usage. */
export const vehicleTokenCommand: AdminCommand = async (args, configuration, output) => {
  const { vin, environment, days } = readArguments(VEHICLE_TOKEN_USAGE, () => {
    const { values } = parseArgs({
      args: [...args],
      options: { vin: { type: 'string' }, environment: { type: 'string', default: 'production' }, days: { type: 'string', default: '365' } },
    });
    if (values.vin === undefined) throw new Error('--vin is missing.');
    if (!/^\d{1,4}$/.test(values.days)) throw new Error('--days takes a number from 1 to 3650.');
    return { vin: values.vin, environment: readEnvironment(values.environment), days: Number(values.days) };
  });
  const tokens = createVehicleTokens(await internalSecret(configuration.internalSecret, configuration.dataDir));
  const { token } = await withAdminDatabase(configuration, output, (prisma) => new VehicleService(prisma, tokens).issueToken(operatorOnServer(), vin, environment, days));
  output.out(token);
  return 0;
};
