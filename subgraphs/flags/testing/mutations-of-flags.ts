/** Every mutation of a flag, with what it needs and what the audit log records of it. */
import { FLAG_FIELDS, type FlagJson, type FlagsUnderTest } from './flags-under-test.ts';

const VIN = 'KMHK281HGNU000001';

export type FlagPayloads = Record<string, { applied: boolean; flag: FlagJson }>;

export interface MutationOfFlag {
  readonly name: string;
  readonly action: string;
  readonly prepare?: () => Promise<FlagJson>;
  readonly query: string;
  readonly variables?: (flag: FlagJson | undefined) => Record<string, unknown>;
  /** The content that the audit row shows of the change. */
  readonly recorded: { before: unknown; after: unknown };
}

/** Gives the mutations for a running subgraph, and the steps with which tests prepare flags for them. */
export function mutationsOfFlags(running: () => FlagsUnderTest) {
  const UPDATE = `mutation ($key: String!, $input: UpdateFlagInput!, $expected: Int) { updateFlag(key: $key, input: $input, expectedRevision: $expected) { applied flag { ${FLAG_FIELDS} } } }`;
  const PAYLOAD = `{ applied flag { ${FLAG_FIELDS} } }`;

  const only = (data: FlagPayloads) => Object.values(data)[0] as { applied: boolean; flag: FlagJson };

  /** Creates an enabled flag with a whitelist. */
  const prepared = async (over: Record<string, unknown> = {}) => {
    const { key } = await running().create({ enabled: true, ...over });
    return running().addRule(key, { type: 'VEHICLE_WHITELIST', conditions: { vins: [VIN] } });
  };
  const killed = async () => {
    const { key } = await prepared();
    return only(
      await running().ok<FlagPayloads>(
        `mutation ($key: String!) { killSwitch(flagKey: $key, reason: "smoke") ${PAYLOAD} }`,
        {
          key,
        },
      ),
    ).flag;
  };

  const ruleOf = (flag: FlagJson | undefined) => ({ id: flag?.rules[0]?.id });

  const MUTATIONS: MutationOfFlag[] = [
    {
      name: 'createFlag',
      action: 'CREATE_FLAG',
      query: `mutation ($input: CreateFlagInput!) { createFlag(input: $input) ${PAYLOAD} }`,
      variables: () => ({
        input: {
          key: running().newKey(),
          name: 'New',
          type: 'STRING',
          defaultValue: 'off',
          safetyLevel: 'ASIL_B',
          environment: 'STAGING',
        },
      }),
      recorded: {
        before: null,
        after: {
          name: 'New',
          type: 'string',
          defaultValue: 'off',
          safetyLevel: 'ASIL-B',
          environment: 'staging',
          enabled: false,
        },
      },
    },
    {
      name: 'updateFlag',
      action: 'UPDATE_FLAG',
      prepare: prepared,
      query: UPDATE,
      variables: (flag) => ({
        key: flag?.key,
        input: { name: 'Renamed', description: 'Why', defaultValue: true, safetyLevel: 'ASIL_B' },
      }),
      recorded: {
        before: { name: 'A flag', description: null, defaultValue: false },
        after: { name: 'Renamed', description: 'Why', defaultValue: true, safetyLevel: 'ASIL-B' },
      },
    },
    {
      name: 'enableFlag',
      action: 'ENABLE_FLAG',
      prepare: () => prepared({ enabled: false }),
      query: `mutation ($key: String!) { enableFlag(key: $key) ${PAYLOAD} }`,
      recorded: { before: { enabled: false }, after: { enabled: true } },
    },
    {
      name: 'disableFlag',
      action: 'DISABLE_FLAG',
      prepare: prepared,
      query: `mutation ($key: String!) { disableFlag(key: $key) ${PAYLOAD} }`,
      recorded: { before: { enabled: true }, after: { enabled: false } },
    },
    {
      name: 'archiveFlag',
      action: 'ARCHIVE_FLAG',
      prepare: prepared,
      query: `mutation ($key: String!) { archiveFlag(key: $key) ${PAYLOAD} }`,
      recorded: { before: { enabled: true, archived: false }, after: { enabled: false, archived: true } },
    },
    {
      name: 'createRule',
      action: 'CREATE_RULE',
      prepare: prepared,
      query: `mutation ($key: String!) { createRule(flagKey: $key, input: { type: PERCENTAGE_ROLLOUT, conditions: { rollout_percentage: 5 } }) ${PAYLOAD} }`,
      recorded: {
        before: null,
        after: { type: 'percentage_rollout', priority: 100, enabled: true, conditions: { rollout_percentage: 5 } },
      },
    },
    {
      name: 'updateRule',
      action: 'UPDATE_RULE',
      prepare: prepared,
      query: `mutation ($id: ID!) { updateRule(id: $id, input: { priority: 7, enabled: false }) ${PAYLOAD} }`,
      variables: ruleOf,
      recorded: {
        before: { priority: 100, enabled: true, conditions: { vins: [VIN] } },
        after: { priority: 7, enabled: false, conditions: { vins: [VIN] } },
      },
    },
    {
      name: 'deleteRule',
      action: 'DELETE_RULE',
      prepare: prepared,
      query: `mutation ($id: ID!) { deleteRule(id: $id) ${PAYLOAD} }`,
      variables: ruleOf,
      recorded: { before: { type: 'vehicle_whitelist' }, after: null },
    },
    {
      name: 'killSwitch',
      action: 'KILL_SWITCH',
      prepare: prepared,
      query: `mutation ($key: String!) { killSwitch(flagKey: $key, reason: "  smoke  ") ${PAYLOAD} }`,
      recorded: {
        before: { killSwitches: [] },
        after: {
          reason: 'smoke',
          killSwitches: [{ enabled: true, conditions: { force_disabled: true, reason: 'smoke' } }],
        },
      },
    },
    {
      name: 'releaseKillSwitch',
      action: 'RELEASE_KILL_SWITCH',
      prepare: killed,
      query: `mutation ($key: String!) { releaseKillSwitch(flagKey: $key, reason: "no smoke") ${PAYLOAD} }`,
      recorded: {
        before: { killSwitches: [{ enabled: true }] },
        after: { reason: 'no smoke', killSwitches: [{ enabled: false }] },
      },
    },
  ];

  return { UPDATE, PAYLOAD, only, prepared, ruleOf, MUTATIONS };
}
