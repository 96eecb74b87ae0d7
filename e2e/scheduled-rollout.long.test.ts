import { afterAll, beforeAll, expect, test } from '@jest/globals';
import type { Client } from 'graphql-ws';
import { Api, Listener } from './harness/api.ts';
import { Deployment } from './harness/deployment.ts';
import { eventually } from './harness/process.ts';

let deployment: Deployment;
const clients: Client[] = [];

beforeAll(async () => {
  deployment = await Deployment.start();
}, 120_000);

afterAll(async () => {
  for (const client of clients) await client.dispose();
  await deployment?.remove();
}, 60_000);

const KEY = 'battery_preheat';
const ROLLOUT = 'rollout { status currentPercentage scheduledBy { email } steps { percentage at appliedAt revision } }';
const CHANGES = `subscription { flagChanges(environment: PRODUCTION) { revision previousRevision flag { rules { conditions } } } }`;

interface Rollout {
  readonly status: string;
  readonly currentPercentage: number;
  readonly steps: readonly {
    readonly at: string;
    readonly appliedAt: string | null;
    readonly revision: number | null;
  }[];
}

function listen(api: Api): Listener {
  const client = api.socket();
  clients.push(client);
  return new Listener(client, CHANGES);
}

/** Gives the revision of the event in which a listener got a percentage; undefined where it got none. */
function revisionAt(listener: Listener, percentage: number): number | undefined {
  const changes = listener.events.map(
    (event) =>
      event.data?.['flagChanges'] as
        | { revision: number; flag: { rules: { conditions: { rollout_percentage: number } }[] } }
        | undefined,
  );
  return changes.find((change) => change?.flag.rules[0]?.conditions.rollout_percentage === percentage)?.revision;
}

const shown = async (api: Api) => {
  const { flag } = await api.ok<{ flag: { rules: { rollout: Rollout }[] } }>(
    `{ flag(key: "${KEY}") { rules { ${ROLLOUT} } } }`,
  );
  return flag.rules[0]?.rollout as Rollout;
};

test('steps reach subscribers by themselves; one that is due while the control plane is killed comes when it is back, once', async () => {
  let api = await Api.admin(deployment);
  const vin = 'KMHK281HGNU000001';
  await api.ok('mutation ($input: CreateFlagInput!) { createFlag(input: $input) { applied } }', {
    input: {
      key: KEY,
      name: 'Battery preheating',
      type: 'BOOLEAN',
      defaultValue: false,
      safetyLevel: 'SAFETY_RELEVANT',
      environment: 'PRODUCTION',
      enabled: true,
    },
  });
  const { createRule } = await api.ok<{ createRule: { flag: { rules: { id: string }[] } } }>(
    'mutation ($key: String!, $input: RuleInput!) { createRule(flagKey: $key, input: $input) { flag { rules { id } } } }',
    {
      key: KEY,
      input: { type: 'PERCENTAGE_ROLLOUT', conditions: { rollout_percentage: 0 } },
    },
  );

  const listener = listen(api);
  // The subscription is established when it has given a change that is not a step.
  await eventually(async () => {
    await api.ok(
      'mutation ($key: String!, $name: String!) { updateFlag(key: $key, input: { name: $name }) { applied } }',
      { key: KEY, name: `Preheating ${Date.now()}` },
    );
    return listener.events.length > 0;
  }, 'the subscription stands');

  await api.ok(
    'mutation ($key: String!, $rule: ID!, $steps: [RolloutStepInput!]!) { scheduleRollout(flagKey: $key, ruleId: $rule, steps: $steps) { applied } }',
    {
      key: KEY,
      rule: createRule.flag.rules[0]?.id,
      steps: [
        { percentage: 20, after: 'PT1S' },
        { percentage: 100, after: 'PT3S' },
      ],
    },
  );
  const first = await eventually(() => revisionAt(listener, 20), 'the first step reaches the subscription');
  await deployment.down('SIGKILL');

  await deployment.up();
  api = await Api.admin(deployment);
  const rollout = await eventually(async () => {
    const now = await shown(api);
    return now.status === 'COMPLETED' ? now : null;
  }, 'the second step is applied');
  expect(rollout).toMatchObject({ currentPercentage: 100, steps: [{ revision: first }, { revision: first + 1 }] });
  expect(
    Date.parse(rollout.steps[1]?.appliedAt ?? '') - Date.parse(rollout.steps[0]?.appliedAt ?? ''),
  ).toBeGreaterThanOrEqual(3_000);

  const { evaluateFlag, flag } = await api.ok<{
    evaluateFlag: unknown;
    flag: { history: { nodes: { action: string; user: { email: string } | null }[] } };
  }>(
    `{ evaluateFlag(key: "${KEY}", context: { vin: "${vin}" }) { value revision } flag(key: "${KEY}") { history { nodes { action user { email } } } } }`,
  );
  expect(evaluateFlag).toEqual({ value: true, revision: first + 1 });
  const steps = flag.history.nodes.filter((row) => row.action === 'UPDATE_RULE');
  expect(steps.map((row) => row.user?.email)).toEqual(['admin@fleetflag.local', 'admin@fleetflag.local']);
}, 180_000);
