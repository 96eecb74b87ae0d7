/** The operator of the ingestion benchmark: pulls and releases a kill switch, again and again, and times each. */
import { setTimeout as pause } from 'node:timers/promises';
import { ApiClient } from '../commands/demo/api-client.ts';

/** Milliseconds. */
export interface Waits {
  readonly median: number;
  readonly most: number;
  readonly count: number;
}

/** Milliseconds between two changes. */
const BETWEEN = 50;
const FLAG = 'stopped_feature';

export class Operator {
  #pulls = 0;

  private constructor(private readonly api: ApiClient) {}

  /** Signs in at the gateway, such as `http://localhost:4000`, and makes the flag. */
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

  /** Changes that were made. */
  get pulls(): number {
    return this.#pulls;
  }

  /** Changes until `over`; at least one. The first ten of an operator are not timed. */
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
      await pause(BETWEEN);
    } while (!over());
    waits.sort((a, b) => a - b);
    return { median: waits[Math.floor(waits.length / 2)] ?? NaN, most: waits.at(-1) ?? NaN, count: waits.length };
  }
}
