/** A control plane with the sample fleet and a browser at its console, for tests of what people change there. */
import type { Browser } from 'playwright-core';
import { madeOrRemoved } from '../../core/testing/made-or-removed.ts';
import { Api } from '../harness/api.ts';
import { Deployment } from '../harness/deployment.ts';
import { ConsolePage, KOREAN, launchBrowser } from './browser.ts';
import { SAMPLE_PEOPLE, makeSampleFleet } from './sample-fleet.ts';

const WHOLE_FLAG = `query ($key: String!) {
  flag(key: $key) { name description enabled killed defaultValue environment archivedAt safetyLevel revision
    rules { id type priority enabled conditions value variant } }
}`;
const CREATE_RULE =
  'mutation ($key: String!, $input: RuleInput!) { createRule(flagKey: $key, input: $input) { applied } }';

interface StoredRule {
  readonly id: string;
  readonly type: string;
  readonly priority: number;
  readonly enabled: boolean;
  readonly conditions: unknown;
  readonly value: unknown;
  readonly variant: string;
}

interface StoredFlag {
  readonly name: string;
  readonly description: string | null;
  readonly enabled: boolean;
  readonly killed: boolean;
  readonly defaultValue: unknown;
  readonly environment: string;
  readonly archivedAt: string | null;
  readonly revision: number;
  readonly rules: readonly StoredRule[];
}

export class SampleConsole {
  private constructor(
    readonly deployment: Deployment,
    readonly browser: Browser,
    readonly admin: Api,
  ) {}

  /** Starts a deployment, makes the sample fleet in it and starts a browser. */
  static async start(): Promise<SampleConsole> {
    const deployment = await Deployment.start({ NODE_ENV: 'production' });
    return madeOrRemoved(
      async () => {
        const admin = await Api.admin(deployment);
        await makeSampleFleet(admin, () => Api.signedIn(deployment, SAMPLE_PEOPLE.safety), 60);
        return new SampleConsole(deployment, await launchBrowser(), admin);
      },
      () => deployment.remove(),
    );
  }

  /** Reads a flag with its rules, as the control plane has stored it. */
  async flagOf(key: string): Promise<StoredFlag> {
    return (await this.admin.ok<{ flag: StoredFlag }>(WHOLE_FLAG, { key })).flag;
  }

  /** Creates a flag for one test, in production and enabled. */
  async makeFlag(key: string, more: object = {}, rules: readonly object[] = []): Promise<void> {
    const input = {
      key,
      name: `Flag ${key}`,
      type: 'BOOLEAN',
      defaultValue: false,
      safetyLevel: 'NON_CRITICAL',
      environment: 'PRODUCTION',
      enabled: true,
      ...more,
    };
    await this.admin.ok('mutation ($input: CreateFlagInput!) { createFlag(input: $input) { applied } }', { input });
    for (const rule of rules) await this.admin.ok(CREATE_RULE, { key, input: rule });
  }

  /** Opens a page of the console in a new window of the browser, and signs a person in. */
  async openAs(
    path: string,
    person: { readonly email: string; readonly password: string },
    options: Parameters<typeof ConsolePage.open>[2] = {},
  ): Promise<ConsolePage> {
    const operator = await ConsolePage.open(this.browser, this.deployment, options);
    await operator.goTo(path);
    await operator.signIn(person, ...(options.locale === 'ko-KR' ? [KOREAN] : []));
    return operator;
  }

  async close(): Promise<void> {
    try {
      await this.browser.close();
    } finally {
      await this.deployment.remove();
    }
  }
}
