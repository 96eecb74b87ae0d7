/** The operator of the ingestion benchmark: pulls and releases a kill switch, again and again, and times each. */
import { setTimeout as pause } from 'node:timers/promises';

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
  #token = '';

  private constructor(private readonly url: string) {}

  /** Signs in, and makes the flag. */
  static async signIn(url: string, email: string, password: string): Promise<Operator> {
    const operator = new Operator(url);
    const { login } = await operator.#ask('mutation ($email: String!, $password: String!) { login(email: $email, password: $password) { token } }', { email, password });
    operator.#token = (login as { token: string }).token;
    await operator.#ask('mutation ($input: CreateFlagInput!) { createFlag(input: $input) { applied } }', {
      input: { key: FLAG, name: FLAG, type: 'BOOLEAN', defaultValue: false, safetyLevel: 'ASIL_B', environment: 'PRODUCTION', enabled: true },
    });
    return operator;
  }

  /** Changes that were made. */
  get pulls(): number {
    return this.#pulls;
  }

  /** Changes until `over`; at least one. The first ten of an operator are not timed. */
  async pull(over: () => Promise<boolean>): Promise<Waits> {
    const waits: number[] = [];
    do {
      const mutation = this.#pulls % 2 === 0 ? 'killSwitch' : 'releaseKillSwitch';
      const from = performance.now();
      await this.#ask(`mutation ($key: String!) { ${mutation}(flagKey: $key, reason: "Benchmark") { flag { killed revision } } }`, { key: FLAG });
      if (this.#pulls++ >= 10) waits.push(performance.now() - from);
      await pause(BETWEEN);
    } while (!(await over()));
    waits.sort((a, b) => a - b);
    return { median: waits[Math.floor(waits.length / 2)] ?? NaN, most: waits.at(-1) ?? NaN, count: waits.length };
  }

  async #ask(query: string, variables: object): Promise<Record<string, unknown>> {
    const response = await fetch(this.url, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...(this.#token !== '' && { authorization: `Bearer ${this.#token}` }) },
      body: JSON.stringify({ query, variables }),
    });
    const { data, errors } = (await response.json()) as { data?: Record<string, unknown>; errors?: unknown };
    if (errors !== undefined || data === undefined) throw new Error(JSON.stringify(errors));
    return data;
  }
}
