import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { Client } from 'pg';
import { TABLES } from '../../../../prisma/specification/specification.ts';
import { Prisma } from '../../../../prisma/generated/client.ts';
import { createTestDatabase, type TestDatabase } from '../../testing/test-database.ts';
import { ONE_OF, VALID_ROWS } from '../../testing/valid-rows.ts';

let testDatabase: TestDatabase;
let client: Client;
let flagId: string;

beforeAll(async () => {
  testDatabase = await createTestDatabase();
  client = new Client({ connectionString: testDatabase.url });
  await client.connect();
  const { rows } = await client.query<{ id: string }>(insertion('flags', {}) + ' RETURNING id');
  flagId = rows[0]!.id;
  for (const table of ['users', 'users', 'rules', 'rollouts', 'experiments', 'webhooks', 'vehicles', 'change_requests'])
    await client.query(insertion(table, {}));
  // A flag has one under way at most.
  await client.query(insertion('releases', { status: `'halted'`, ended_at: 'now()' }));
});

afterAll(async () => {
  await client.end();
  await testDatabase.drop();
});

function insertion(table: string, change: Record<string, string>): string {
  const row = { ...VALID_ROWS[table], ...change };
  if ('flag_id' in row && row.flag_id === '') row.flag_id = `'${flagId}'`;
  return `INSERT INTO ${table} (${Object.keys(row).join(', ')}) VALUES (${Object.values(row).join(', ')})`;
}

/** The values that each CHECK must refuse, where they can be tried in one table. */
const CHECKS: Record<string, { table: string; column: string; refused: string[] }> = {
  users_role_check: { table: 'users', column: 'role', refused: [`'admin'`, `'OWNER'`, `''`] },
  flags_type_check: { table: 'flags', column: 'type', refused: [`'BOOLEAN'`, `'object'`] },
  flags_safety_level_check: { table: 'flags', column: 'safety_level', refused: [`'ASIL_D'`, `'ASIL-C'`] },
  flags_environment_check: { table: 'flags', column: 'environment', refused: [`'test'`] },
  flags_draft_check: { table: 'flags', column: 'draft', refused: ['true'] },
  flags_default_value_given: {
    table: 'flags',
    column: 'default_value',
    refused: [`'{"value": null}'`, `'{}'`, `'null'`],
  },
  rules_value_given: { table: 'rules', column: 'value', refused: [`'{"value": null}'`, `'{}'`, `'null'`] },
  rules_type_check: { table: 'rules', column: 'type', refused: [`'vehicle'`] },
  audit_logs_action_check: { table: 'audit_logs', column: 'action', refused: [`'create_flag'`, `'READ_FLAG'`] },
  vehicles_vin_check: {
    table: 'vehicles',
    column: 'vin',
    refused: [
      `'KMH123'`,
      `'KMH1234567890ABCI'`,
      `'KMH1234567890ABCO'`,
      `'KMH1234567890ABCQ'`,
      `'kmh1234567890abcd'`,
      `'KMH1234567890AB D'`,
    ],
  },
  vehicles_status_check: { table: 'vehicles', column: 'status', refused: [`'away'`] },
  vehicles_environment_check: { table: 'vehicles', column: 'environment', refused: [`'test'`] },
  vehicles_token_generation_check: { table: 'vehicles', column: 'token_generation', refused: ['-1'] },
  vehicles_tokens_revoked: { table: 'vehicles', column: 'token_generation', refused: ['1'] },
  experiments_status_check: { table: 'experiments', column: 'status', refused: [`'paused'`] },
  experiments_confidence_level_check: { table: 'experiments', column: 'confidence_level', refused: ['-0.01', '1.01'] },
  experiments_treatment_share_check: { table: 'experiments', column: 'treatment_share', refused: ['0', '1'] },
  experiments_results: { table: 'experiments', column: 'results', refused: [`'{}'`] },
  api_keys_role_check: { table: 'api_keys', column: 'role', refused: [`'SAFETY'`] },
  environments_name_check: { table: 'environments', column: 'name', refused: [`'test'`] },
  flags_scope_check: { table: 'flags', column: 'scope', refused: [`'{}'`, `'{Ioniq 6,*}'`] },
  flags_value_schema_check: { table: 'flags', column: 'value_schema', refused: [`'[]'`, `'null'`] },
  flags_activation_check: { table: 'flags', column: 'activation', refused: [`'parked'`, `''`] },
  flags_no_return_below_check: { table: 'flags', column: 'no_return_below', refused: ['-1', '1'] },
  flags_kill_activation_check: { table: 'flags', column: 'kill_activation', refused: [`'NEXT_DRIVE'`] },
  flags_release_check: { table: 'flags', column: 'release', refused: [`'[]'`, `'null'`] },
  releases_environment_check: { table: 'releases', column: 'environment', refused: [`'test'`] },
  releases_status_check: { table: 'releases', column: 'status', refused: [`'RUNNING'`, `'waiting'`] },
  releases_stage_check: { table: 'releases', column: 'stage', refused: ['-1'] },
  releases_percentage_check: { table: 'releases', column: 'percentage', refused: ['-1', '100.001'] },
  releases_stages_check: { table: 'releases', column: 'stages', refused: [`'{}'`, `'null'`] },
  releases_canary_check: { table: 'releases', column: 'canary', refused: [`'[]'`, `'null'`] },
  releases_guards_check: { table: 'releases', column: 'guards', refused: [`'{}'`, `'null'`] },
  releases_content_check: { table: 'releases', column: 'content', refused: [`'[]'`, `'null'`] },
  releases_stable_content_check: { table: 'releases', column: 'stable_content', refused: [`'[]'`, `'null'`] },
  releases_whole_end: { table: 'releases', column: 'ended_at', refused: ['now()'] },
  releases_when_due: { table: 'releases', column: 'due_at', refused: ['NULL'] },
  flags_requires_check: { table: 'flags', column: 'requires', refused: [`'{}'`, `'null'`] },
  segments_conditions_check: { table: 'segments', column: 'conditions', refused: [`'[]'`, `'{}'`, `'null'`] },
  release_policies_environment_check: { table: 'release_policies', column: 'environment', refused: [`'test'`] },
  release_policies_stages_check: { table: 'release_policies', column: 'stages', refused: [`'{}'`, `'null'`] },
  release_policies_canary_check: { table: 'release_policies', column: 'canary', refused: [`'[]'`, `'null'`] },
  release_policies_safety_levels_check: { table: 'release_policies', column: 'safety_levels', refused: [`'{ASIL_D}'`] },
  release_policies_maximum_faulty_vehicles_check: {
    table: 'release_policies',
    column: 'maximum_faulty_vehicles',
    refused: ['-1'],
  },
  release_policies_maximum_faulty_percent_check: {
    table: 'release_policies',
    column: 'maximum_faulty_percent',
    refused: ['-0.1', '100.1', `'NaN'`],
  },
  release_policies_guards_check: { table: 'release_policies', column: 'guards', refused: [`'{}'`, `'null'`] },
  release_policies_proposed_check: { table: 'release_policies', column: 'proposed', refused: [`'[]'`, `'null'`] },
  release_policies_whole_proposal: { table: 'release_policies', column: 'proposal_id', refused: ['gen_random_uuid()'] },
  vehicle_tags_changes_check: { table: 'vehicle_tags', column: 'changes', refused: ['0'] },
  scoped_models_environment_check: { table: 'scoped_models', column: 'environment', refused: [`'test'`] },
  scoped_models_model_check: { table: 'scoped_models', column: 'model', refused: [`''`, `'*'`] },
  flag_tombstones_environment_check: { table: 'flag_tombstones', column: 'environment', refused: [`'test'`] },
  flag_versions_environment_check: { table: 'flag_versions', column: 'environment', refused: [`'test'`] },
  change_requests_status_check: { table: 'change_requests', column: 'status', refused: [`'open'`, `'PENDING'`] },
  change_requests_two_people: {
    table: 'change_requests',
    column: 'reviewed_by',
    refused: [`NULL`, ONE_OF('users', 'min')],
  },
  change_set_members_position_check: { table: 'change_set_members', column: 'position', refused: ['-1'] },
  rollouts_environment_check: { table: 'rollouts', column: 'environment', refused: [`'test'`] },
  rollouts_status_check: { table: 'rollouts', column: 'status', refused: [`'RUNNING'`, `'waiting'`] },
  rollouts_next_step: { table: 'rollouts', column: 'next_step_at', refused: ['now()'] },
  rollout_steps_percentage_check: { table: 'rollout_steps', column: 'percentage', refused: ['0', '100.001'] },
  rollout_steps_revision_check: { table: 'rollout_steps', column: 'revision', refused: ['1'] },
  rollout_guards_worse_check: { table: 'rollout_guards', column: 'worse', refused: [`'more'`] },
  rollout_guards_limit: { table: 'rollout_guards', column: 'max_worse_percent', refused: ['5'] },
  release_verdicts_verdict_check: { table: 'release_verdicts', column: 'verdict', refused: [`'tripped'`] },
  rollout_verdicts_verdict_check: { table: 'rollout_verdicts', column: 'verdict', refused: [`'tripped'`] },
  rollout_looks_verdict_check: { table: 'rollout_looks', column: 'verdict', refused: [`'tripped'`, `'HOLDING'`] },
  metric_definitions_kind_check: { table: 'metric_definitions', column: 'kind', refused: [`'MEAN'`, `'sum'`] },
  metric_definitions_better_check: { table: 'metric_definitions', column: 'better', refused: [`'more'`] },
  metric_definitions_window_ms_check: { table: 'metric_definitions', column: 'window_ms', refused: ['0', '-1'] },
  metric_definitions_range: { table: 'metric_definitions', column: 'maximum', refused: ['5', '4'] },
  persisted_operations_type_check: {
    table: 'persisted_operations',
    column: 'type',
    refused: [`'QUERY'`, `'fragment'`],
  },
  webhooks_kinds_check: { table: 'webhooks', column: 'kinds', refused: [`'{}'`] },
  webhooks_environments_check: { table: 'webhooks', column: 'environments', refused: [`'{test}'`] },
  webhooks_offline_percent_check: { table: 'webhooks', column: 'offline_percent', refused: ['0', '101'] },
  webhooks_offline_threshold: { table: 'webhooks', column: 'kinds', refused: [`'{fleet.offline}'`] },
  webhooks_previous_secret: { table: 'webhooks', column: 'previous_secret_seed', refused: [`repeat('b', 43)`] },
  webhook_deliveries_status_check: { table: 'webhook_deliveries', column: 'status', refused: [`'sent'`] },
  webhook_deliveries_attempts_check: { table: 'webhook_deliveries', column: 'attempts', refused: ['-1'] },
  webhook_deliveries_when_due: { table: 'webhook_deliveries', column: 'next_attempt_at', refused: ['NULL'] },
  audit_chain_id_check: { table: 'audit_chain', column: 'id', refused: ['2', '0'] },
  gateway_leases_sequence_check: { table: 'gateway_leases', column: 'sequence', refused: ['0'] },
  vehicle_backups_content_check: {
    table: 'vehicle_backups',
    column: 'content',
    refused: [`''`, `convert_to(repeat('a', 65537), 'UTF8')`],
  },
  vehicle_faults_environment_check: { table: 'vehicle_faults', column: 'environment', refused: [`'test'`] },
  vehicle_faults_revision_check: { table: 'vehicle_faults', column: 'revision', refused: ['0', '-1'] },
  vehicle_faults_kind_check: { table: 'vehicle_faults', column: 'kind', refused: [`'other'`, `'RESTARTS'`] },
  vehicle_status_head_id_check: { table: 'vehicle_status_head', column: 'id', refused: ['2', '0'] },
};

test('every specified CHECK is tested below', () => {
  const specified = Object.values(TABLES).flatMap(({ constraints }) =>
    Object.keys(constraints).filter((name) => constraints[name]!.startsWith('CHECK')),
  );
  expect(Object.keys(CHECKS).sort()).toEqual(specified.sort());
});

test.each(Object.entries(CHECKS))(
  '%s refuses other values, and accepts each listed one',
  async (name, { table, column, refused }) => {
    for (const value of refused) {
      await expect(client.query(insertion(table, { [column]: value }))).rejects.toMatchObject({
        code: '23514',
        constraint: expect.stringMatching(name),
      });
    }
    const definition = TABLES[table]!.constraints[name]!;
    const listed = definition.startsWith(`CHECK (((${column})::text = ANY`)
      ? [...definition.matchAll(/'([^']+)'::character varying/g)].map(([, value]) => `'${value}'`)
      : [];
    for (const value of listed) {
      await client.query('BEGIN');
      await client.query(`${insertion(table, { [column]: value })} ON CONFLICT DO NOTHING`);
      await client.query('ROLLBACK');
    }
  },
);

test('the revision below which no vehicle goes back never falls while its flag stays in its environment', async () => {
  await client.query(
    insertion('flags', { key: `'bounded'`, revision: '9', no_return_below: '5', environment: `'staging'` }),
  );
  const update = (set: string) => client.query(`UPDATE flags SET ${set} WHERE key = 'bounded'`);
  for (const fall of ['no_return_below = 4', 'no_return_below = 0, revision = 10'])
    await expect(update(fall)).rejects.toMatchObject({ code: '23514', constraint: 'flags_no_return_below_rises' });
  await update('no_return_below = 7');
  await update(`no_return_below = 2, revision = 2, environment = 'production'`);
  // An earlier state of the row, as a restore brings it.
  await update('no_return_below = 1, revision = 1');
});

test('two rules of a flag cannot share type and priority', async () => {
  await client.query(insertion('rules', { priority: '7' }));
  await expect(client.query(insertion('rules', { priority: '7' }))).rejects.toMatchObject({
    code: '23505',
    constraint: 'unique_flag_type_priority',
  });
});

test.each([
  ['users', 'email', 'idx_users_email'],
  ['flags', 'key', 'idx_flags_key'],
  ['api_keys', 'key_hash', 'idx_api_keys_key_hash'],
])('a second row of %s with the same %s is refused', async (table, column, constraint) => {
  await client.query(insertion(table, { [column]: `'same'` }));
  await expect(client.query(insertion(table, { [column]: `'same'` }))).rejects.toMatchObject({
    code: '23505',
    constraint,
  });
});

test('the generated client has every column of every table and reads them all', async () => {
  const models = {
    users: Prisma.UserScalarFieldEnum,
    flags: Prisma.FlagScalarFieldEnum,
    rules: Prisma.RuleScalarFieldEnum,
    audit_logs: Prisma.AuditLogScalarFieldEnum,
    vehicles: Prisma.VehicleScalarFieldEnum,
    experiments: Prisma.ExperimentScalarFieldEnum,
    api_keys: Prisma.ApiKeyScalarFieldEnum,
    environments: Prisma.EnvironmentScalarFieldEnum,
    segments: Prisma.SegmentScalarFieldEnum,
    vehicle_tags: Prisma.VehicleTagScalarFieldEnum,
    scoped_models: Prisma.ScopedModelScalarFieldEnum,
    flag_tombstones: Prisma.FlagTombstoneScalarFieldEnum,
    flag_versions: Prisma.FlagVersionScalarFieldEnum,
    change_requests: Prisma.ChangeRequestScalarFieldEnum,
    change_set_members: Prisma.ChangeSetMemberScalarFieldEnum,
    rollouts: Prisma.RolloutScalarFieldEnum,
    rollout_steps: Prisma.RolloutStepScalarFieldEnum,
    audit_chain: Prisma.AuditChainScalarFieldEnum,
    persisted_operations: Prisma.PersistedOperationScalarFieldEnum,
    persisted_operation_keys: Prisma.PersistedOperationKeyScalarFieldEnum,
    experiment_disturbances: Prisma.ExperimentDisturbanceScalarFieldEnum,
    rollout_guards: Prisma.RolloutGuardScalarFieldEnum,
    rollout_verdicts: Prisma.RolloutVerdictScalarFieldEnum,
    rollout_evidence: Prisma.RolloutEvidenceScalarFieldEnum,
    rollout_looks: Prisma.RolloutLookScalarFieldEnum,
    experiment_evidence: Prisma.ExperimentEvidenceScalarFieldEnum,
    experiment_metric_evidence: Prisma.ExperimentMetricEvidenceScalarFieldEnum,
    metric_definitions: Prisma.MetricDefinitionScalarFieldEnum,
    webhooks: Prisma.WebhookScalarFieldEnum,
    webhook_deliveries: Prisma.WebhookDeliveryScalarFieldEnum,
    webhook_checks: Prisma.WebhookCheckScalarFieldEnum,
    gateway_leases: Prisma.GatewayLeaseScalarFieldEnum,
    vehicle_connections: Prisma.VehicleConnectionScalarFieldEnum,
    vehicle_backups: Prisma.VehicleBackupScalarFieldEnum,
    vehicle_faults: Prisma.VehicleFaultScalarFieldEnum,
    vehicle_status_head: Prisma.VehicleStatusHeadScalarFieldEnum,
    releases: Prisma.ReleaseScalarFieldEnum,
    release_verdicts: Prisma.ReleaseVerdictScalarFieldEnum,
    release_evidence: Prisma.ReleaseEvidenceScalarFieldEnum,
    release_policies: Prisma.ReleasePolicyScalarFieldEnum,
  };
  const sizes = Object.fromEntries(
    Object.entries(models).map(([table, fields]) => [table, Object.keys(fields).length]),
  );
  expect(sizes).toEqual(
    Object.fromEntries(Object.entries(TABLES).map(([table, { columns }]) => [table, Object.keys(columns).length])),
  );

  for (const table of [
    'users',
    'rules',
    'audit_logs',
    'vehicles',
    'experiments',
    'api_keys',
    'segments',
    'vehicle_tags',
    'scoped_models',
    'flag_tombstones',
    'flag_versions',
    'change_requests',
    'change_set_members',
    'rollout_steps',
    'persisted_operations',
    'persisted_operation_keys',
    'experiment_disturbances',
    'rollout_guards',
    'rollout_verdicts',
    'rollout_evidence',
    'rollout_looks',
    'metric_definitions',
    'gateway_leases',
    'vehicle_connections',
    'vehicle_backups',
    'vehicle_faults',
    'release_policies',
    'release_verdicts',
    'release_evidence',
  ])
    await client.query(insertion(table, {}));
  const { prisma } = testDatabase.database;
  const rows = [
    prisma.user.findFirst(),
    prisma.flag.findFirst(),
    prisma.rule.findFirst(),
    prisma.auditLog.findFirst(),
    prisma.vehicle.findFirst(),
    prisma.experiment.findFirst(),
    prisma.apiKey.findFirst(),
    prisma.environment.findFirst(),
    prisma.segment.findFirst(),
    prisma.vehicleTag.findFirst(),
    prisma.scopedModel.findFirst(),
    prisma.flagTombstone.findFirst(),
    prisma.changeRequest.findFirst(),
    prisma.changeSetMember.findFirst(),
    prisma.rollout.findFirst(),
    prisma.rolloutStep.findFirst(),
    prisma.auditChain.findFirst(),
    prisma.persistedOperation.findFirst(),
    prisma.persistedOperationKey.findFirst(),
    prisma.experimentDisturbance.findFirst(),
    prisma.rolloutGuard.findFirst(),
    prisma.rolloutVerdict.findFirst(),
    prisma.rolloutEvidence.findFirst(),
    prisma.rolloutLook.findFirst(),
    prisma.metricDefinition.findFirst(),
    prisma.gatewayLease.findFirst(),
    prisma.vehicleConnection.findFirst(),
    prisma.vehicleBackup.findFirst(),
    prisma.vehicleFault.findFirst(),
    prisma.vehicleStatusHead.findFirst(),
    prisma.releasePolicy.findFirst(),
    prisma.release.findFirst(),
    prisma.releaseVerdict.findFirst(),
    prisma.releaseEvidence.findFirst(),
  ];
  expect(await Promise.all(rows)).not.toContain(null);
});

test('updated_at of a vehicle moves with every column that describes the vehicle, by any writer, and with no measured one', async () => {
  const CHANGES: Record<string, string> = {
    vin: `vin = 'KMHK281HGNU000002'`,
    model: `model = 'B'`,
    sw_version: `sw_version = '2'`,
    region: `region = 'NA'`,
    status: `status = 'maintenance'`,
    environment: `environment = 'staging'`,
    agent_version: `agent_version = '2'`,
    token_generation: 'token_generation = 1, tokens_revoked_at = now()',
    tags: `tags = '{beta}'`,
  };
  const MEASURED: Record<string, string> = {
    last_seen_at: 'last_seen_at = now()',
    agent_memory_mb: 'agent_memory_mb = 1',
    agent_cpu_percent: 'agent_cpu_percent = 1',
    cache_size_mb: 'cache_size_mb = 1',
    applied_revision: 'applied_revision = 1',
    disconnected_at: 'disconnected_at = now()',
    status_position: 'status_position = 1',
    clock_offset_seconds: 'clock_offset_seconds = 1',
    agent_refusals: `agent_refusals = '{incomplete}'`,
    pending_flags: `pending_flags = '{eco:7}'`,
    evaluated_flags: `evaluated_flags = '{eco:7}'`,
  };
  const OF_ITSELF = ['registered_at', 'updated_at', 'tokens_revoked_at', 'model_changed_at'];
  // A new column belongs to one of the lists; if it describes the vehicle, to the trigger, too.
  expect([...Object.keys(CHANGES), ...Object.keys(MEASURED), ...OF_ITSELF].sort()).toEqual(
    Object.keys(TABLES['vehicles']?.columns ?? {}).sort(),
  );
  const moves = async (change: string): Promise<boolean> => {
    await client.query('BEGIN');
    try {
      await client.query(
        `INSERT INTO vehicles (vin, model, sw_version, region, status, updated_at) VALUES ('KMHK281HGNU000001', 'A', '1', 'EU', 'offline', '2020-01-01')`,
      );
      const { rows } = await client.query<{ moved: boolean }>(
        `UPDATE vehicles SET ${change} WHERE vin = 'KMHK281HGNU000001' RETURNING updated_at > '2020-01-02' AS moved`,
      );
      return rows[0]?.moved ?? false;
    } finally {
      await client.query('ROLLBACK');
    }
  };
  for (const change of Object.values(CHANGES)) expect([change, await moves(change)]).toEqual([change, true]);
  for (const change of [...Object.values(MEASURED), `model = 'A'`])
    expect([change, await moves(change)]).toEqual([change, false]);
});
