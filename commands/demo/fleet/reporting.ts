/** Reports of the fleet's measurements, each vehicle with its own token over its own websocket, as agents do. */
import { createClient } from 'graphql-ws';
import { WebSocket } from 'ws';
import { REPORT_MUTATION } from '../../../agent/telemetry/metrics/metric-sender.ts';
import type { ApiClient } from '../api-client.ts';
import { armOf, energyOf, DRIVING_METRIC, type Phase } from './driving.ts';
import { MEASURED } from '../flags.ts';
import type { FleetVehicle } from './fleet.ts';

/** The most fields of one request; see docs/operations/limits.md. */
const TOKENS_AT_ONCE = 20;

interface Receipt {
  readonly accepted: number;
}

/** Issues a token to each vehicle; gives the tokens by VIN. */
export async function issueTokens(
  api: ApiClient,
  vehicles: readonly FleetVehicle[],
): Promise<ReadonlyMap<string, string>> {
  const tokens = new Map<string, string>();
  for (let first = 0; first < vehicles.length; first += TOKENS_AT_ONCE) {
    const some = vehicles.slice(first, first + TOKENS_AT_ONCE);
    const fields = some.map(
      ({ vin }) => `${vin}: issueVehicleToken(vin: "${vin}", environment: PRODUCTION, expiresInDays: 1) { token }`,
    );
    const issued = await api.ask<Record<string, { token: string }>>(`mutation { ${fields.join(' ')} }`);
    for (const { vin } of some) tokens.set(vin, issued[vin]!.token);
  }
  return tokens;
}

/** A measurement as the API takes it. */
interface Measurement {
  readonly flagKey: string;
  readonly variant: string;
  readonly metricName: string;
  readonly value: number;
  readonly timestamp: string;
}

/**
 * Reports one batch of each vehicle: its trips of `phase`. Gives the number of stored measurements.
 *
 * @param times the times of the trips, milliseconds since 1970
 * @throws Error when a batch is refused
 */
export function reportTrips(
  wsUrl: string,
  tokens: ReadonlyMap<string, string>,
  vehicles: readonly FleetVehicle[],
  phase: Phase,
  times: (trip: number) => number,
): Promise<number> {
  return reportBatches(wsUrl, tokens, vehicles, phase, (vehicle) => {
    const variant = phase === 'before' ? 'control' : armOf(vehicle);
    return energyOf(vehicle, phase).map((value, trip) => ({
      flagKey: MEASURED,
      variant,
      metricName: DRIVING_METRIC,
      value,
      timestamp: new Date(times(trip)).toISOString(),
    }));
  });
}

/**
 * Reports one batch of each vehicle. Gives the number of stored measurements.
 *
 * @param batchId the id of the batch, for each vehicle the same
 * @throws Error when a batch is refused
 */
export async function reportBatches(
  wsUrl: string,
  tokens: ReadonlyMap<string, string>,
  vehicles: readonly FleetVehicle[],
  batchId: string,
  itemsOf: (vehicle: FleetVehicle) => readonly Measurement[],
): Promise<number> {
  const stored = await Promise.all(
    vehicles.map(async (vehicle) => {
      const items = itemsOf(vehicle);
      const client = createClient({
        url: wsUrl,
        webSocketImpl: WebSocket,
        lazy: true,
        retryAttempts: 0,
        connectionParams: { authorization: `Bearer ${tokens.get(vehicle.vin)}` },
      });
      try {
        for await (const { data, errors } of client.iterate<{ reportMetrics: Receipt }>({
          query: REPORT_MUTATION,
          variables: { input: { batchId, items } },
        })) {
          if (errors !== undefined)
            throw new Error(`The measurements of ${vehicle.vin} were refused: ${errors[0]?.message}`);
          return data?.reportMetrics.accepted ?? 0;
        }
        return 0;
      } finally {
        await client.dispose();
      }
    }),
  );
  return stored.reduce((sum, accepted) => sum + accepted, 0);
}
