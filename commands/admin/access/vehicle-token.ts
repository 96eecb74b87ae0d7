/**
 * `npm run admin -- vehicle-token`: issues a credential for a registered vehicle's agent, or revokes all of them,
 * without a session.
 */
import { parseArgs } from 'node:util';
import { createVehicleTokens } from '../../../core/credentials/vehicle-token.ts';
import { VehicleService } from '../../../subgraphs/vehicles/registry/vehicle-service.ts';
import { presentSecret } from '../../../main/secrets/secrets.ts';
import { withAdminDatabase } from '../admin-database.ts';
import { readArguments, type AdminCommand } from '../command.ts';
import { readEnvironmentOption } from '../environment-option.ts';
import { operatorOnServer } from '../operator.ts';

/** The help text of `vehicle-token`. */
export const VEHICLE_TOKEN_USAGE = `npm run admin -- vehicle-token --vin VIN [--environment development|staging|production] [--days DAYS]
npm run admin -- vehicle-token --revoke VIN
    Prints a token for the agent of a registered vehicle; default: production, 365 days. --revoke revokes
    all tokens of the vehicle; running gateways refuse them within 5 s.`;

/** Runs `vehicle-token`. Exit codes: 0 done, 1 failed, 2 wrong usage. */
export const vehicleTokenCommand: AdminCommand = async (args, configuration, output) => {
  const { vin, revoke, environment, days } = readArguments(VEHICLE_TOKEN_USAGE, () => {
    const { values } = parseArgs({
      args: [...args],
      options: {
        vin: { type: 'string' },
        revoke: { type: 'string' },
        environment: { type: 'string', default: 'production' },
        days: { type: 'string', default: '365' },
      },
    });
    const vin = values.vin ?? values.revoke;
    if (vin === undefined) throw new Error('--vin is missing.');
    if (values.vin !== undefined && values.revoke !== undefined)
      throw new Error('--vin issues a token and --revoke revokes all: use only one of them.');
    if (!/^\d{1,4}$/.test(values.days)) throw new Error('--days must be a whole number from 1 to 3650.');
    return {
      vin,
      revoke: values.revoke !== undefined,
      environment: readEnvironmentOption(values.environment),
      days: Number(values.days),
    };
  });
  const tokens = createVehicleTokens(await presentSecret(configuration.internalSecret, configuration.dataDir));
  const line = await withAdminDatabase(configuration, output, async (prisma) => {
    const vehicles = new VehicleService(prisma, tokens, () => undefined);
    if (!revoke) return (await vehicles.issueToken(operatorOnServer(), vin, environment, days)).token;
    await vehicles.revokeTokens(operatorOnServer(), vin);
    return `${vin}: all tokens are revoked.`;
  });
  output.out(line);
  return 0;
};
