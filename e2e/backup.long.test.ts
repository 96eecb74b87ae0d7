/** The backup of a working control plane, the loss of its machine and the restore, by the commands of an operator. */
import { chmod, cp, mkdir, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { afterAll, beforeAll, expect } from '@jest/globals';
import { Client } from 'pg';
import { testUnless } from '../core/testing/unless.ts';
import {
  deleteEmbeddedPostgres,
  findEmbeddedPostgres,
} from '../subgraphs/shared/postgres/embedded/embedded-postgres.ts';
import { admin } from './harness/admin.ts';
import { Api } from './harness/api.ts';
import { Deployment, DISTRIBUTED } from './harness/deployment.ts';
import { eventually } from './harness/process.ts';
import { VehicleProcess } from './harness/vehicle.ts';

const KEYS = ['signing-key.pem', 'internal-secret'];

let deployment: Deployment;
let vehicle: VehicleProcess | undefined;
let folder: string;
/** The folder of archived WAL segments, on another disk in production. PostgreSQL's account must reach it. */
let archive: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'fleetflag-backup-'));
  await chmod(folder, 0o711);
  archive = join(folder, "wal archive's 100%");
  if (!DISTRIBUTED) deployment = await Deployment.start({ FLEETFLAG_WAL_ARCHIVE: archive });
}, 120_000);
afterAll(async () => {
  await vehicle?.remove();
  await deployment?.remove();
  await rm(folder, { recursive: true, force: true });
}, 60_000);

const create = (key: string, environment = 'STAGING') =>
  `mutation { createFlag(input: {key: "${key}", name: "${key}", type: BOOLEAN, defaultValue: false, safetyLevel: NON_CRITICAL, environment: ${environment}, enabled: true}) { flag { revision } } }`;

/** Deletes all data of the machine. Copies of the keys, and the archive, are in another place. */
async function lose(): Promise<void> {
  await deployment.down('SIGKILL');
  for (const key of KEYS) await cp(join(deployment.dataDir, key), join(folder, key));
  await deleteEmbeddedPostgres(deployment.dataDir);
  await rm(deployment.dataDir, { recursive: true });
  await mkdir(deployment.dataDir, { mode: 0o711 });
}

/** Puts the keys back, and starts the control plane. */
async function comeBack(): Promise<void> {
  for (const key of KEYS) await cp(join(folder, key), join(deployment.dataDir, key));
  await deployment.up();
}

/** Gives the names of all archived segments. */
const archived = async () => (await readdir(archive, { recursive: true })).map((path) => basename(path));

/** Runs a statement on the embedded server, and gives the first column of its first row. */
async function statement(text: string): Promise<string> {
  const client = new Client({ connectionString: (await findEmbeddedPostgres(deployment.dataDir)) ?? '' });
  await client.connect();
  try {
    const { rows } = await client.query<Record<string, unknown>>(text);
    return String(Object.values(rows[0] ?? {})[0]);
  } finally {
    await client.end();
  }
}

/** Gives the number of evaluations of `eco` that the control plane has stored. */
const evaluations = async (api: Api) => {
  const { flag } = await api.ok<{ flag: { totalEvaluations: number } }>('{ flag(key: "eco") { totalEvaluations } }');
  return flag.totalEvaluations;
};

testUnless(DISTRIBUTED ? 'it is about the embedded stores; the database suites restore on servers' : null)(
  'what was acknowledged before a backup is there after everything else was lost, and vehicles come back into step',
  async () => {
    let api = await Api.admin(deployment);
    await api.ok(create('eco', 'PRODUCTION'));
    await api.ok(
      'mutation { createRule(flagKey: "eco", input: {type: PERCENTAGE_ROLLOUT, conditions: {rollout_percentage: 100}}) { applied } }',
    );
    vehicle = await VehicleProcess.start(deployment.wsUrl, await api.vehicle('KMHK281HGNU000001'), [
      '--metrics-seconds',
      '0.2',
    ]);
    const car = vehicle;
    await eventually(async () => (await car.status()).flags === 1, 'the vehicle has its flag');
    for (let n = 0; n < 5; n++) expect(await car.evaluate('eco')).toMatchObject({ value: true });
    await eventually(async () => (await car.status()).metrics.queued === 0, 'the measurements are stored');

    // Flags are created while the backup runs.
    const acknowledged: string[] = [];
    let isOver = false;
    const work = (async () => {
      for (let n = 0; !isOver; n++) {
        await api.ok(create(`flag_${n}`));
        acknowledged.push(`flag_${n}`);
        if (acknowledged.length === 90) return;
      }
    })();
    await eventually(() => acknowledged.length > 5, 'some changes');
    const before = [...acknowledged];
    const to = join(folder, 'monday');
    const made = await admin(deployment, 'backup', '--to', to);
    expect([made.code, made.stderr]).toEqual([0, expect.stringContaining('Not in the backup: FLEETFLAG_SIGNING_KEY')]);
    isOver = true;
    await work;
    expect((await admin(deployment, 'verify-backup', '--from', to)).code).toBe(0);
    expect((await readdir(to)).sort()).toEqual(['base', 'manifest.json', 'metrics', 'postgres']);

    // The vehicle goes on, ahead of the backup, and stops a feature.
    await api.ok('mutation { killSwitch(flagKey: "eco", reason: "smoke") { applied } }');
    await eventually(async () => (await car.evaluate('eco')).reason === 'DISABLED', 'the vehicle is stopped');
    const ahead = (await car.status()).revision;

    await lose();
    const restored = await admin(deployment, 'restore', '--from', to);
    expect([restored.code, restored.stdout]).toEqual([0, expect.stringContaining('all checked')]);
    expect(restored.stderr).toContain('Put back: FLEETFLAG_INTERNAL_SECRET');
    // A second restore is refused, because it would overwrite data.
    expect(await admin(deployment, 'restore', '--from', to)).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('is not empty') as unknown,
    });
    await comeBack();

    api = await Api.admin(deployment);
    const { flags, auditIntegrity } = await api.ok<{
      flags: { nodes: { key: string }[] };
      auditIntegrity: { intact: boolean };
    }>('{ flags(first: 100) { nodes { key } } auditIntegrity { intact } }');
    const keys = flags.nodes.map(({ key }) => key);
    expect(keys).toEqual(expect.arrayContaining([...before, 'eco']));
    // Changes that came during the backup are there from the first one on, without a gap.
    const rest = keys.filter((key) => key !== 'eco').sort((a, b) => Number(a.slice(5)) - Number(b.slice(5)));
    expect(rest).toEqual(acknowledged.slice(0, rest.length));
    expect(auditIntegrity.intact).toBe(true);
    await eventually(async () => (await evaluations(api)) === 5, 'the measurements are counted once');

    // The switch was pulled after the backup: it is pulled again, and the vehicle follows once it can.
    await eventually(
      async () => Object.keys((await car.status()).refusals).includes('revision-below-own'),
      'the vehicle reports that it is ahead',
    );
    expect(await car.evaluate('eco')).toMatchObject({ reason: 'DISABLED' });
    await api.ok('mutation { killSwitch(flagKey: "eco", reason: "smoke, again") { applied } }');
    const raised = await admin(
      deployment,
      ...['advance-revision', '--environment', 'production', '--beyond', String(ahead), '--reason', 'restored'],
    );
    expect([raised.code, raised.stderr]).toEqual([0, expect.anything()]);
    await api.ok('mutation { releaseKillSwitch(flagKey: "eco", reason: "over") { applied } }');
    await car.serves('eco', true);
  },
  480_000,
);

testUnless(DISTRIBUTED ? 'a server is restored to a point in time by its own means' : null)(
  'a machine comes back as it was at a named moment after the backup, with all that was acknowledged until then',
  async () => {
    let api = await Api.admin(deployment);
    const to = join(folder, 'tuesday');
    // Flags are created while the files are copied.
    let isOver = false;
    const work = (async () => {
      for (let n = 0; !isOver && n < 40; n++) await api.ok(create(`during_${n}`, 'DEVELOPMENT'));
    })();
    expect(await admin(deployment, 'backup', '--to', to)).toMatchObject({ code: 0 });
    isOver = true;
    await work;
    for (let n = 0; n < 5; n++) await api.ok(create(`until_${n}`, 'DEVELOPMENT'));
    const state = '{ flags(filter: { environment: DEVELOPMENT }, first: 100) { nodes { key revision } } }';
    const then = await api.ok(state);
    const moment = await statement(
      'SELECT to_char(clock_timestamp() AT TIME ZONE \'UTC\', \'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"\')',
    );
    // The next commit must have a later millisecond than `moment`.
    await eventually(async () => (await statement('SELECT clock_timestamp()::text')) !== moment, 'time goes on');
    for (let n = 0; n < 5; n++) await api.ok(create(`after_${n}`, 'DEVELOPMENT'));
    const segment = await statement('SELECT pg_walfile_name(pg_switch_wal())');
    await eventually(async () => (await archived()).includes(segment), 'the log is archived');
    await lose();

    // A refused restore leaves nothing behind, so the last one finds an empty folder.
    const early = await admin(deployment, 'restore', '--from', to, '--until', '2020-01-01T00:00:00Z');
    expect(early).toMatchObject({ code: 1, stderr: expect.stringContaining('take an earlier backup') as unknown });
    const late = await admin(deployment, 'restore', '--from', to, '--until', '2999-01-01T00:00:00Z');
    expect(late).toMatchObject({ code: 1, stderr: expect.stringContaining('ends before 2999-01-01') as unknown });

    const restored = await admin(deployment, 'restore', '--from', to, '--until', moment);
    expect([restored.code, restored.stdout]).toEqual([0, expect.stringContaining(moment)]);
    await comeBack();
    api = await Api.admin(deployment);
    expect(await api.ok(state)).toEqual(then);
    expect(await api.ok('{ auditIntegrity { intact } }')).toEqual({ auditIntegrity: { intact: true } });
    // The restored server accepts changes, and archives them.
    await api.ok(create('afterwards', 'DEVELOPMENT'));
    const next = await statement('SELECT pg_walfile_name(pg_switch_wal())');
    await eventually(async () => (await archived()).includes(next), 'the log is archived again');
  },
  480_000,
);
