/** Vehicles that report measurements under their tokens, without agents, for charts and experiments. */
import { randomUUID } from 'node:crypto';
import { BUCKETS, bucketing } from '../../core/evaluation/bucket.ts';
import { Api } from '../harness/api.ts';

const REPORT = 'mutation ($input: MetricBatchInput!) { reportMetrics(input: $input) { accepted dropped } }';

/** A measurement to report. */
export interface Measurement {
  readonly flagKey: string;
  readonly metricName: string;
  readonly value: number;
  /** The arm; by default that of the vehicle's bucket at 50 %. */
  readonly variant?: string;
  /** The time in milliseconds since 1970; now by default. */
  readonly at?: number;
}

export class MeasuringVehicle {
  private constructor(
    readonly vin: string,
    private readonly api: Api,
  ) {}

  /** Registers a vehicle and issues its token. */
  static async register(admin: Api, vin: string, model: string): Promise<MeasuringVehicle> {
    const token = await admin.vehicle(vin, { model, swVersion: '2.5.0', region: 'KR' });
    return new MeasuringVehicle(vin, new Api(admin.deployment, token));
  }

  /** Gives the arm of the vehicle's bucket, for a rule at 50 % whose salt is the flag's key. */
  armOf(flagKey: string): 'treatment' | 'control' {
    return bucketing(flagKey)(this.vin) < BUCKETS / 2 ? 'treatment' : 'control';
  }

  /** Reports measurements in one batch. */
  async measure(measurements: readonly Measurement[]): Promise<void> {
    await this.api.ok(REPORT, {
      input: {
        batchId: randomUUID(),
        items: measurements.map(({ flagKey, metricName, value, variant = this.armOf(flagKey), at = Date.now() }) => ({
          flagKey,
          metricName,
          value,
          variant,
          timestamp: new Date(at).toISOString(),
        })),
      },
    });
  }
}
