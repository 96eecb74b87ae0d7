/**
 * The operator of the ingestion benchmark, who pulls and releases a kill switch repeatedly and measures each change.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { ApiClient } from '../../commands/demo/api-client.ts';

/** Durations in milliseconds. */
export interface Waits {
  readonly median: number;
  readonly most: number;
  readonly count: number;
}

/** The milliseconds between two changes. */
const BETWEEN_MS = 50;
const FLAG = 'stopped_feature';

/** The operator's client of the API. */
export class Operator {
  #pulls = 0;

  private constructor(private readonly api: ApiClient) {}

  /** Signs in at the gateway, such as `http://localhost:4000`, and creates the flag. */
  static async signIn(url: string, email: string, password: string): Promise<Operator> {
    const api = new ApiClient(url);
    await api.signIn(email, password);
    await api.ask('mutation ($input: CreateFlagInput!) { createFlag(input: $input) { applied } }', {
      input: {
        key: FLAG,
        name: FLAG,
        type: 'BOOLEAN',
        defaultValue: false,
        safetyLevel: 'ASIL_B',
        environment: 'PRODUCTION',
        enabled: true,
      },
    });
    return new Operator(api);
  }

  /** The number of changes so far. */
  get pulls(): number {
    return this.#pulls;
  }

  /** Makes changes until `over` gives true, at least one. The first ten are not measured. */
  async pull(over: () => boolean): Promise<Waits> {
    const waits: number[] = [];
    do {
      const mutation = this.#pulls % 2 === 0 ? 'killSwitch' : 'releaseKillSwitch';
      const from = performance.now();
      await this.api.ask(
        `mutation ($key: String!) { ${mutation}(flagKey: $key, reason: "Benchmark") { flag { killed revision } } }`,
        { key: FLAG },
      );
      if (this.#pulls++ >= 10) waits.push(performance.now() - from);
      await pause(BETWEEN_MS);
    } while (!over());
    waits.sort((a, b) => a - b);
    return { median: waits[Math.floor(waits.length / 2)] ?? NaN, most: waits.at(-1) ?? NaN, count: waits.length };
  }
}
