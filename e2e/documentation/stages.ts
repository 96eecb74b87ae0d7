/**
 * The preparation of each page of the documentation, whose blocks run in order against a control plane: the flags and
 * vehicles that the page speaks of, and the values of variables that a reader would fill in.
 */
import type { Api } from '../harness/api.ts';

/** The caller who runs an operation. It is the administrator, unless a stage names another. */
export type PageCaller = 'admin' | 'editor' | 'safety' | 'vehicle';

/** The people who are there, beside the administrator. */
export const PEOPLE = {
  editor: { email: 'ann@example.com', name: 'Ann Baker', role: 'WRITE', password: 'what an editor remembers' },
  safety: { email: 'sam@example.com', name: 'Sam Safety', role: 'SAFETY', password: 'what a reviewer remembers' },
} as const;

/** The vehicle that the pages speak of. */
const VEHICLE = { vin: 'KMHK281HGNU000001', model: 'Ioniq 6', swVersion: '2.5.0', region: 'EU' } as const;

/** A control plane on which the blocks of one page run. */
export interface PageStage {
  /** Makes what the page takes for granted. Other pages may have made a part of it. */
  readonly prepare?: (api: Api, as: (role: PageCaller) => Promise<Api>) => Promise<void>;
  /** Files that a reader would have by then, in the folder where the page's commands run. */
  readonly files?: (api: Api) => Promise<Readonly<Record<string, string>>>;
  /** The callers of operations, by the name of their first field. */
  readonly by?: Readonly<Record<string, PageCaller>>;
  /** The values of variables, and of `"…"` in operations (the member `…`), before each operation. */
  readonly variables?: (api: Api) => Promise<Readonly<Record<string, unknown>>>;
  /** Variables of the shell, which a reader has from elsewhere. */
  readonly shell?: (api: Api) => Promise<Readonly<Record<string, string>>>;
  /** Whether the page's programs import the agent's package, which takes a while to pack. */
  readonly needsAgentPackage?: boolean;
}

/** Makes a flag that is enabled, unless there is one. */
async function flag(api: Api, key: string, more: Readonly<Record<string, unknown>> = {}): Promise<void> {
  const { data } = await api.ask('query ($key: String!) { flag(key: $key) { id } }', { key });
  if (data?.['flag'] != null) return;
  await api.ok('mutation ($input: CreateFlagInput!) { createFlag(input: $input) { applied } }', {
    input: {
      key,
      name: key,
      type: 'BOOLEAN',
      defaultValue: false,
      safetyLevel: 'NON_CRITICAL',
      environment: 'PRODUCTION',
      enabled: true,
      ...more,
    },
  });
}

interface ShownRule {
  readonly id: string;
  readonly type: string;
  readonly rollout: { readonly id: string; readonly status: string } | null;
}

/** Gives the percentage rollout of a flag; undefined without one. */
async function rolloutRule(api: Api, key: string): Promise<ShownRule | undefined> {
  const { flag: found } = await api.ok<{ flag: { rules: ShownRule[] } | null }>(
    'query ($key: String!) { flag(key: $key) { rules { id type rollout { id status } } } }',
    { key },
  );
  return found?.rules.find(({ type }) => type === 'PERCENTAGE_ROLLOUT');
}

/** Makes a flag with a percentage rollout. */
async function rolledOut(api: Api, key: string, percentage: number, more = {}): Promise<void> {
  await flag(api, key, more);
  const rule = await rolloutRule(api, key);
  if (rule !== undefined) {
    await api.ok('mutation ($id: ID!, $input: UpdateRuleInput!) { updateRule(id: $id, input: $input) { applied } }', {
      id: rule.id,
      input: { conditions: { rollout_percentage: percentage } },
    });
    return;
  }
  await api.ok(
    'mutation ($key: String!, $input: RuleInput!) { createRule(flagKey: $key, input: $input) { applied } }',
    {
      key,
      input: { type: 'PERCENTAGE_ROLLOUT', conditions: { rollout_percentage: percentage } },
    },
  );
}

/** Makes a flag of ASIL-D with a percentage rollout at 0 %, reviewed by the second person. */
async function reviewed(as: (role: PageCaller) => Promise<Api>, key: string): Promise<void> {
  const editor = await as('editor');
  await rolledOut(editor, key, 0);
  const { updateFlag } = await editor.ok<{ updateFlag: { changeRequest: { id: string } | null } }>(
    'mutation ($key: String!) { updateFlag(key: $key, input: { safetyLevel: ASIL_D }) { changeRequest { id } } }',
    { key },
  );
  if (updateFlag.changeRequest !== null) await approve(await as('safety'), updateFlag.changeRequest.id);
}

const approve = (safety: Api, id: string) =>
  safety.ok('mutation ($id: ID!) { approveChangeRequest(id: $id, comment: "Reviewed") { status } }', { id });

async function registered(api: Api): Promise<void> {
  await api.ok('mutation ($input: [RegisterVehicleInput!]!) { registerVehicles(input: $input) { vin } }', {
    input: [VEHICLE],
  });
}

async function vehicleToken(api: Api): Promise<string> {
  await registered(api);
  const { issueVehicleToken } = await api.ok<{ issueVehicleToken: { token: string } }>(
    'mutation ($vin: String!) { issueVehicleToken(vin: $vin) { token } }',
    { vin: VEHICLE.vin },
  );
  return issueVehicleToken.token;
}

/** Makes the flag and the vehicle that somebody is called for. */
async function onCall(api: Api): Promise<void> {
  await registered(api);
  await flag(api, 'lane_keep');
}

async function newestExperiment(api: Api): Promise<string | undefined> {
  const { experiments } = await api.ok<{ experiments: { nodes: { id: string }[] } }>(
    '{ experiments(first: 1) { nodes { id } } }',
  );
  return experiments.nodes[0]?.id;
}

async function newestPendingRequest(api: Api): Promise<string | undefined> {
  const { changeRequests } = await api.ok<{ changeRequests: { id: string }[] }>(
    '{ changeRequests(status: PENDING) { id } }',
  );
  return changeRequests[0]?.id;
}

/** The stages by page. */
export const STAGES: Readonly<Record<string, PageStage>> = {
  'README.md': { prepare: registered },
  'README.ko.md': { prepare: registered },
  'docs/guides/accounts.md': {
    variables: async (api) => {
      const { users } = await api.ok<{ users: { nodes: { id: string; email: string }[] } }>(
        '{ users(first: 100) { nodes { id email } } }',
      );
      return { id: users.nodes.find(({ email }) => email === PEOPLE.safety.email)?.id };
    },
  },
  'docs/guides/agent.md': {
    needsAgentPackage: true,
    prepare: async (api) => {
      await registered(api);
      await flag(api, 'lane_keep', { safetyLevel: 'ASIL_B' });
      await flag(api, 'drive_mode', { type: 'STRING', defaultValue: 'eco' });
      await flag(api, 'fast_charge');
    },
  },
  'docs/guides/api-keys.md': {},
  'docs/guides/experiments.md': {
    prepare: (api) => rolledOut(api, 'adas_lane_keep_v2', 50),
    variables: async (api) => ({ id: await newestExperiment(api), after: null }),
  },
  'docs/guides/import-export.md': {},
  'docs/guides/metrics.md': {
    prepare: async (api) => {
      await registered(api);
      await flag(api, 'eco_route');
    },
    by: { reportMetrics: 'vehicle' },
    variables: async () => ({
      input: {
        batchId: 'drive-1',
        items: [
          {
            flagKey: 'eco_route',
            variant: 'control',
            metricName: 'energy_kwh',
            value: 14.2,
            timestamp: new Date().toISOString(),
          },
        ],
      },
    }),
  },
  'docs/guides/operators.md': { prepare: badNight },
  'docs/guides/operators.ko.md': { prepare: badNight },
  'docs/operations/runbook.md': { prepare: onCall },
  'docs/operations/runbook.ko.md': { prepare: onCall },
  'docs/guides/partners.md': {
    prepare: (api) => flag(api, 'lane_keep', { safetyLevel: 'ASIL_B' }),
  },
  'docs/guides/rollouts.md': {
    prepare: async (api, as) => {
      await rolledOut(api, 'adas_lane_keep_v2', 5);
      await rolledOut(api, 'regenerative_braking_v2', 0);
      await reviewed(as, 'emergency_brake_assist');
      await (
        await as('editor')
      ).ok(
        `mutation ($rule: ID!) { scheduleRollout(flagKey: "emergency_brake_assist", ruleId: $rule, steps: [{ percentage: 5, after: "P1D" }]) { applied } }`,
        { rule: (await rolloutRule(api, 'emergency_brake_assist'))?.id },
      );
    },
    by: { approveChangeRequest: 'safety', changeRequests: 'safety' },
    variables: async (api) => {
      const [lane, braking] = await Promise.all([
        rolloutRule(api, 'adas_lane_keep_v2'),
        rolloutRule(api, 'regenerative_braking_v2'),
      ]);
      // The first rollout has been ended when the second begins, as the page has it.
      const isOver = lane?.rollout?.status === 'CANCELLED';
      return {
        rule: isOver ? braking?.id : lane?.id,
        '…': isOver ? await newestPendingRequest(api) : lane?.rollout?.id,
      };
    },
  },
  'docs/guides/segments.md': {
    prepare: async (api) => {
      await registered(api);
      await flag(api, 'heated_wipers');
    },
  },
  'docs/guides/release-policies.md': {
    by: { approveReleasePolicy: 'safety' },
    prepare: (api) => flag(api, 'charge_curve', { environment: 'STAGING', type: 'NUMBER', defaultValue: 1 }),
    variables: async (api) => {
      const { releasePolicy, flag: curve } = await api.ok<{
        releasePolicy: { stages: object[]; proposal: { id: string } | null };
        flag: { release: object | null };
      }>(
        '{ releasePolicy(environment: STAGING) { stages { percentage } proposal { id } } flag(key: "charge_curve") { release { id } } }',
      );
      // The change that the page guards is made under its policy.
      if (releasePolicy.stages.length > 0 && curve.release === null)
        await api.ok('mutation { updateFlag(key: "charge_curve", input: { defaultValue: 2 }) { applied } }');
      return { '…': releasePolicy.proposal?.id };
    },
  },
  'docs/guides/value-contracts.md': {},
  'docs/guides/vehicles.md': { prepare: (api) => flag(api, 'one_pedal') },
  'docs/guides/webhooks.md': {},
  'docs/operations/audit.md': {
    prepare: (api) => rolledOut(api, 'adas_lane_keep_v2', 5),
    shell: async (api) => {
      const { auditIntegrity } = await api.ok<{ auditIntegrity: { headHash: string } }>(
        '{ auditIntegrity { headHash } }',
      );
      return { NOTED: auditIntegrity.headHash };
    },
  },
  'docs/operations/backup.md': {},
  'docs/operations/restoring.md': {},
};

/** The state before a bad night: a feature that can be stopped, a rollout that runs, and a change that waits. */
async function badNight(api: Api, as: (role: PageCaller) => Promise<Api>): Promise<void> {
  await registered(api);
  await rolledOut(api, 'lane_keep', 50, { safetyLevel: 'ASIL_B' });
  await rolledOut(api, 'charging_curve', 5);
  const rule = await rolloutRule(api, 'charging_curve');
  if (rule?.rollout?.status === 'PAUSED')
    await api.ok('mutation ($id: ID!) { resumeRollout(id: $id) { status } }', { id: rule.rollout.id });
  else
    await api.ok(
      `mutation ($rule: ID!) { scheduleRollout(flagKey: "charging_curve", ruleId: $rule, steps: [{ percentage: 50, after: "P1D" }]) { applied } }`,
      { rule: rule?.id },
    );
  if ((await newestPendingRequest(api)) === undefined)
    await flag(await as('editor'), 'brake_assist_night', { safetyLevel: 'ASIL_D', enabled: false });
}

/** Gives a vehicle's token, for operations that only vehicles may run. */
export const tokenOfVehicle = vehicleToken;

/** Causes an event of each subscription that the pages show, by the name of its field. */
export const CAUSES: Readonly<Record<string, (api: Api, round: number) => Promise<unknown>>> = {
  flagChanges: (api, round) => touch(api, round),
  auditTrail: (api, round) => touch(api, round),
  vehicleStatusChanges: (api, round) =>
    api.ok(
      'mutation ($vin: String!, $maintenance: Boolean!) { setVehicleMaintenance(vin: $vin, maintenance: $maintenance) { vin } }',
      {
        vin: VEHICLE.vin,
        maintenance: round % 2 === 0,
      },
    ),
  changeRequestChanges: (api, round) =>
    flag(api, `reviewed_${Date.now()}_${round}`, { safetyLevel: 'ASIL_D', enabled: false }),
};

/** Changes a flag that is there for nothing else. */
async function touch(api: Api, round: number): Promise<void> {
  await flag(api, 'watched');
  await api.ok('mutation ($name: String!) { updateFlag(key: "watched", input: { name: $name }) { applied } }', {
    name: `Watched ${Date.now()} ${round}`,
  });
}
