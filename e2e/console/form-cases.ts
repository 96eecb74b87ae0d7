/**
 * The forms of the console whose text must neither get lost nor overwrite what somebody else has saved.
 * tests/repository/console-forms.test.ts finds a form that is missing here; people-and-forms.long.test.ts fills in
 * each.
 */
import type { Page } from 'playwright-core';
import type { Api } from '../harness/api.ts';

/** A form of the console, and how it is filled in. */
interface FormCase {
  readonly name: string;
  /** The source file with the place for the forms of this kind that were left. */
  readonly file: string;
  /** Makes what the form needs, and gives the page's path. */
  readonly begin: (admin: Api) => Promise<string>;
  readonly label: string;
  /** Whether the field takes a list of names. */
  readonly isList?: boolean;
  /** The labels of fields with secrets, which are typed again. */
  readonly secrets?: readonly string[];
}

/** A form by which a thing is made. */
export interface NewFormCase extends FormCase {
  readonly text: string;
}

/** A form by which a thing is changed that somebody else may change meanwhile. */
export interface ChangeFormCase extends FormCase {
  /** The texts of the two changes of one person. */
  readonly texts: readonly [string, string];
  /** The present values of what one person and of what the other changes. */
  readonly stored: (admin: Api, path: string) => Promise<readonly unknown[]>;
  /** Changes another part of the thing, as somebody else, to the value of a round. */
  readonly change: (admin: Api, path: string, theirs: unknown) => Promise<unknown>;
  readonly theirs: readonly [unknown, unknown];
  /** The notice that the page shows when another person has changed the same thing. */
  readonly notice: string;
  /** The name of the mutation that the form sends. */
  readonly operation: string;
  readonly save: string;
  /** The button before that, which shows whom a change concerns. */
  readonly preview?: string;
  /** Whether the form stays open when it is saved. */
  readonly stays: boolean;
}

const lastPart = (path: string) => path.split('/').at(-1) ?? '';

/** Gives the field of a case. */
export const fieldOf = (page: Page, { label }: FormCase) => page.getByLabel(label, { exact: true }).first();

const CREATE_FLAG = 'mutation ($input: CreateFlagInput!) { createFlag(input: $input) { applied } }';
const CREATE_EXPERIMENT = 'mutation ($input: CreateExperimentInput!) { createExperiment(input: $input) { id } }';

async function makeFlag(admin: Api, key: string): Promise<void> {
  await admin.ok(CREATE_FLAG, {
    input: {
      ...{ key, name: `Flag ${key}`, type: 'BOOLEAN', defaultValue: false },
      ...{ safetyLevel: 'NON_CRITICAL', environment: 'PRODUCTION', enabled: true },
    },
  });
}

const POLICY = `{ releasePolicy(environment: DEVELOPMENT) {
  stages { percentage soak minimumVehicles } safetyLevels maximumFaultyVehicles maximumFaultyPercent } }`;
interface Policy {
  readonly maximumFaultyVehicles: number;
  readonly maximumFaultyPercent: number;
}
const policyOf = async (admin: Api) => (await admin.ok<{ releasePolicy: Policy }>(POLICY)).releasePolicy;
const setPolicy = (admin: Api, policy: object) =>
  admin.ok('mutation ($input: ReleasePolicyInput!) { setReleasePolicy(input: $input) { updatedAt } }', {
    input: { environment: 'DEVELOPMENT', ...policy },
  });

interface Segment {
  readonly name: string;
  readonly conditions: Readonly<Record<string, unknown>>;
}
const segmentOf = async (admin: Api, key: string) =>
  (await admin.ok<{ segment: Segment }>('query ($key: String!) { segment(key: $key) { name conditions } }', { key }))
    .segment;
const saveSegment = (admin: Api, key: string, segment: Segment) =>
  admin.ok(
    `mutation ($key: String!, $name: String!, $conditions: JSON!) {
      saveSegment(key: $key, name: $name, conditions: $conditions) { applied } }`,
    { key, ...segment },
  );

interface Webhook {
  readonly id: string;
  readonly name: string;
  readonly url: string;
}

/** The forms by which a thing is changed. */
export const CHANGE_FORMS: readonly ChangeFormCase[] = [
  {
    name: 'a flag',
    file: 'console/flags/form/edit-flag-page.tsx',
    begin: async (admin) => {
      await makeFlag(admin, 'people.flag');
      return '/flags/people.flag/edit';
    },
    label: 'Description',
    texts: ['Mine', 'Mine again'],
    stored: async (admin) => {
      const { flag } = await admin.ok<{ flag: { description: string; name: string } }>(
        '{ flag(key: "people.flag") { description name } }',
      );
      return [flag.description, flag.name];
    },
    change: (admin, _, name) =>
      admin.ok('mutation ($name: String!) { updateFlag(key: "people.flag", input: { name: $name }) { applied } }', {
        name,
      }),
    theirs: ['Theirs', 'Theirs again'],
    notice: 'The flag has changed meanwhile.',
    operation: 'UpdateFlag',
    save: 'Save',
    stays: false,
  },
  {
    name: 'a rule',
    file: 'console/flags/rules/rule-page.tsx',
    begin: async (admin) => {
      await makeFlag(admin, 'people.rule');
      await admin.ok(
        `mutation { createRule(flagKey: "people.rule", input: {
          type: PERCENTAGE_ROLLOUT, priority: 20, conditions: { rollout_percentage: 5 } }) { applied } }`,
      );
      const { flag } = await admin.ok<{ flag: { rules: { id: string }[] } }>(
        '{ flag(key: "people.rule") { rules { id } } }',
      );
      return `/flags/people.rule/rules/${flag.rules[0]?.id}`;
    },
    label: 'Percentage',
    texts: ['25', '35'],
    stored: async (admin) => {
      const { flag } = await admin.ok<{ flag: { rules: { priority: number; conditions: object }[] } }>(
        '{ flag(key: "people.rule") { rules { priority conditions } } }',
      );
      const [rule] = flag.rules;
      return [String(Reflect.get(rule?.conditions ?? {}, 'rollout_percentage')), rule?.priority];
    },
    change: (admin, path, priority) =>
      admin.ok('mutation ($id: ID!, $input: UpdateRuleInput!) { updateRule(id: $id, input: $input) { applied } }', {
        ...{ id: lastPart(path), input: { priority } },
      }),
    theirs: [77, 78],
    notice: 'The flag has changed meanwhile.',
    operation: 'UpdateRule',
    preview: 'Check and preview',
    save: 'Save',
    stays: false,
  },
  {
    name: 'a segment',
    file: 'console/segments/segment-form.tsx',
    begin: async (admin) => {
      await saveSegment(admin, 'people.fleet', { name: 'A fleet', conditions: { regions: ['KR'] } });
      return '/segments/people.fleet';
    },
    label: 'Software versions',
    texts: ['>=2.0.0', '>=3.0.0'],
    stored: async (admin) => {
      const { sw_version: version, regions } = (await segmentOf(admin, 'people.fleet')).conditions;
      return [version, regions];
    },
    change: async (admin, _, regions) => {
      const { name, conditions } = await segmentOf(admin, 'people.fleet');
      return saveSegment(admin, 'people.fleet', { name, conditions: { ...conditions, regions } });
    },
    theirs: [['EU'], ['EU', 'NA']],
    notice: 'The segment has changed meanwhile.',
    operation: 'SaveSegment',
    save: 'Save the segment',
    stays: true,
  },
  {
    name: 'a release policy',
    file: 'console/administration/policies/policy-form-page.tsx',
    begin: async (admin) => {
      await setPolicy(admin, {
        ...{ stages: [{ percentage: 100, soak: 'PT1H', minimumVehicles: 1 }], safetyLevels: ['NON_CRITICAL'] },
      });
      return '/policies/development';
    },
    label: 'Faulty vehicles allowed',
    texts: ['7', '8'],
    stored: async (admin) => {
      const { maximumFaultyVehicles, maximumFaultyPercent } = await policyOf(admin);
      return [String(maximumFaultyVehicles), maximumFaultyPercent];
    },
    change: async (admin, _, maximumFaultyPercent) =>
      setPolicy(admin, { ...(await policyOf(admin)), maximumFaultyPercent }),
    theirs: [2, 3],
    notice: 'The policy has changed meanwhile.',
    operation: 'SetReleasePolicy',
    save: 'Set the policy',
    stays: false,
  },
  {
    name: 'an experiment',
    file: 'console/experiments/experiment-form.tsx',
    begin: async (admin) => {
      await makeFlag(admin, 'people.experiment');
      const { createExperiment } = await admin.ok<{ createExperiment: { id: string } }>(CREATE_EXPERIMENT, {
        input: {
          ...{ flagKey: 'people.experiment', name: 'An experiment', sampleSize: 100, primaryMetric: 'm' },
          startDate: '2090-01-01T00:00:00Z',
        },
      });
      return `/experiments/${createExperiment.id}/edit`;
    },
    label: 'What it is to show',
    texts: ['Mine', 'Mine again'],
    stored: async (admin, path) => {
      const { experiment } = await admin.ok<{ experiment: { description: string; sampleSize: number } }>(
        'query ($id: ID!) { experiment(id: $id) { description sampleSize } }',
        { id: path.split('/')[2] },
      );
      return [experiment.description, experiment.sampleSize];
    },
    change: (admin, path, sampleSize) =>
      admin.ok(
        'mutation ($id: ID!, $input: UpdateExperimentInput!) { updateExperiment(id: $id, input: $input) { id } }',
        {
          ...{ id: path.split('/')[2], input: { sampleSize } },
        },
      ),
    theirs: [200, 300],
    notice: 'The experiment has changed meanwhile.',
    operation: 'UpdateExperiment',
    save: 'Save the plan',
    stays: false,
  },
  {
    name: 'an account',
    file: 'console/administration/accounts/account-page.tsx',
    begin: async (admin) => {
      const { createUser } = await admin.ok<{ createUser: { id: string } }>(
        `mutation { createUser(input: {
          email: "of.two@example.com", name: "Of two", role: READ, password: "a password of two people" }) { id } }`,
      );
      return `/accounts/${createUser.id}`;
    },
    label: 'Department',
    texts: ['Mine', 'Mine again'],
    stored: async (admin, path) => {
      const { node } = await admin.ok<{ node: { department: string; name: string } }>(
        'query ($id: ID!) { node(id: $id) { ... on User { department name } } }',
        { id: lastPart(path) },
      );
      return [node.department, node.name];
    },
    change: (admin, path, name) =>
      admin.ok('mutation ($id: ID!, $input: UpdateUserInput!) { updateUser(id: $id, input: $input) { id } }', {
        ...{ id: lastPart(path), input: { name } },
      }),
    theirs: ['Theirs', 'Theirs again'],
    notice: 'The account has changed meanwhile.',
    operation: 'UpdateAccount',
    save: 'Save',
    stays: true,
  },
  {
    name: 'a webhook',
    file: 'console/administration/webhooks/webhook-page.tsx',
    begin: async (admin) => {
      const { createWebhook } = await admin.ok<{ createWebhook: { webhook: Webhook } }>(
        `mutation { createWebhook(input: {
          name: "Of two", url: "https://receiver.invalid/of-two", kinds: [KILL_SWITCH_PULLED] }) { webhook { id } } }`,
      );
      return `/webhooks/${createWebhook.webhook.id}`;
    },
    label: 'Name',
    texts: ['Mine', 'Mine again'],
    stored: async (admin, path) => {
      const { webhooks } = await admin.ok<{ webhooks: readonly Webhook[] }>('{ webhooks { id name url } }');
      const webhook = webhooks.find(({ id }) => id === lastPart(path));
      return [webhook?.name, webhook?.url];
    },
    change: (admin, path, url) =>
      admin.ok('mutation ($id: ID!, $input: UpdateWebhookInput!) { updateWebhook(id: $id, input: $input) { id } }', {
        ...{ id: lastPart(path), input: { url } },
      }),
    theirs: ['https://receiver.invalid/theirs', 'https://receiver.invalid/theirs-again'],
    notice: 'The webhook has changed meanwhile.',
    operation: 'UpdateWebhook',
    save: 'Save',
    stays: true,
  },
  {
    name: 'the tags of a vehicle',
    file: 'console/fleet/vehicle-tags.tsx',
    begin: async (admin) => {
      const { vehicles } = await admin.ok<{ vehicles: { nodes: { vin: string }[] } }>(
        '{ vehicles(first: 1) { nodes { vin } } }',
      );
      return `/fleet/${vehicles.nodes[0]?.vin}`;
    },
    label: 'Change tags',
    isList: true,
    texts: ['mine', 'mine.again'],
    stored: async (admin, path) => {
      const { vehicle } = await admin.ok<{ vehicle: { tags: string[] } }>(
        'query ($vin: String!) { vehicle(vin: $vin) { tags } }',
        { vin: lastPart(path) },
      );
      const last = (start: string) => vehicle.tags.filter((tag) => tag.startsWith(start)).at(-1);
      return [last('mine'), last('theirs')];
    },
    change: (admin, path, tag) =>
      admin.ok('mutation ($input: [VehicleTagsInput!]!) { setVehicleTags(input: $input) { vin } }', {
        input: [{ vin: lastPart(path), add: [tag] }],
      }),
    theirs: ['theirs', 'theirs.again'],
    notice: 'The tags have changed meanwhile.',
    operation: 'SetVehicleTags',
    save: 'Save tags',
    stays: true,
  },
];

const at = (path: string) => async () => path;

/** The forms by which a thing is made. */
export const NEW_FORMS: readonly NewFormCase[] = [
  {
    ...{ name: 'a new flag', file: 'console/flags/form/new-flag-page.tsx', begin: at('/new-flag') },
    ...{ label: 'Description', text: 'Written for an hour' },
  },
  {
    ...{ name: 'a new segment', file: 'console/segments/segment-form.tsx', begin: at('/new-segment') },
    ...{ label: 'Software versions', text: '>=2.5.0' },
  },
  {
    ...{ name: 'a new experiment', file: 'console/experiments/experiment-form.tsx', begin: at('/experiments/new') },
    ...{ label: 'What it is to show', text: 'Written for an hour' },
  },
  {
    ...{
      name: 'a new account',
      file: 'console/administration/accounts/new-account-page.tsx',
      begin: at('/accounts/new'),
    },
    ...{ label: 'Department', text: 'Chassis', secrets: ['First password'] },
  },
  {
    ...{ name: 'a new API key', file: 'console/administration/keys/new-key-page.tsx', begin: at('/keys/new') },
    ...{ label: 'Name', text: 'tier1_brakes' },
  },
  {
    ...{
      name: 'a new webhook',
      file: 'console/administration/webhooks/new-webhook-page.tsx',
      begin: at('/webhooks/new'),
    },
    ...{ label: 'Name', text: 'On-call pager' },
  },
  {
    ...{
      name: 'operations',
      file: 'console/administration/operations/new-operations-page.tsx',
      begin: at('/operations/new'),
    },
    ...{ label: 'Operation, or manifest', text: 'query Total { fleet { total } }' },
  },
];
