/** Flags with rules, as a fleet has them. */
import type { ApiClient } from '../../commands/demo/api-client.ts';

/** Creates `count` flags in production, `feature_0` and so on, each with a target and a rollout. */
export async function fillFlags(api: ApiClient, count: number): Promise<void> {
  for (let index = 0; index < count; index++) {
    const key = `feature_${index}`;
    await api.ask('mutation ($input: CreateFlagInput!) { createFlag(input: $input) { applied } }', {
      input: {
        key,
        name: `Feature ${index}`,
        description: 'Created by the benchmark: a target and a rollout.',
        type: 'BOOLEAN',
        defaultValue: false,
        safetyLevel: 'NON_CRITICAL',
        environment: 'PRODUCTION',
        enabled: true,
      },
    });
    const rules = [
      {
        type: 'VEHICLE_TARGET',
        conditions: { models: ['Ioniq 5', 'EV9'], sw_version: '>=2.5.0 <3', regions: ['EU', 'NA'] },
      },
      { type: 'PERCENTAGE_ROLLOUT', conditions: { rollout_percentage: 10 + index } },
    ];
    for (const input of rules)
      await api.ask(
        'mutation ($key: String!, $input: RuleInput!) { createRule(flagKey: $key, input: $input) { applied } }',
        { key, input },
      );
  }
}
