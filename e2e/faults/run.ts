/**
 * A run: a control plane of many processes, clients, vehicles, and faults by a seed; then all laws over its history.
 */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import type { AgentStatus } from '../../agent/api/agent-status.ts';
import { check } from '../../tests/faults/checker.ts';
import type { Entry, Finding, Truth } from '../../tests/faults/history.ts';
import { Api } from '../harness/api.ts';
import { webSocketOf } from '../harness/deployment.ts';
import { eventually } from '../harness/process.ts';
import { RealAgent } from './agents.ts';
import { Person, proposer, reader, reviewer, scheduler, stopper, writer, type Account, type Scene } from './clients.ts';
import { Cluster } from './cluster.ts';
import { LeanFleet } from './fleet.ts';
import { Nemesis, onPostgres } from './nemesis.ts';
import { Random } from '../../tests/testing/random.ts';
import { Recorder, machineMs } from './recorder.ts';
import { soak } from './soak.ts';
import { readTruth } from './truth.ts';

const FLAGS = ['wipers', 'lights', 'heating', 'parking', 'charging'];
const STOPPABLE = ['cruise', 'braking'];
const SCHEDULED = 'battery';
const REVIEWED = 'steering';
const ALL = [...FLAGS, ...STOPPABLE, SCHEDULED, REVIEWED];
const PASSWORD = 'correct horse battery staple';
/** The vehicles of one registration. */
const MAX_REGISTERED = 1_000;
const vinOf = (prefix: string, index: number) => `KMHK281${prefix}${String(index).padStart(10 - prefix.length, '0')}`;

/** The milliseconds within which everything has to be back after the last fault. */
const RECOVERY_MS = 100_000;
/** The rounds after which the run waits until everything is in step. */
const ROUNDS_UNTIL_CALM = 8;

/** The options of a run. */
export interface RunOptions {
  readonly seed: number;
  /** The faults to inject at least. */
  readonly faults: number;
  /** The most faults at once. */
  readonly atOnce: number;
  readonly vehicles: number;
  readonly agents: number;
  /** The folder in which the history stays; null for none. */
  readonly out: string | null;
  /** The folder of the sources whose build is run; by default that of this project. */
  readonly root?: string;
  /** The minutes for which everything goes on without faults, before those; none when absent. */
  readonly soakMinutes?: number;
  /** The factor by which people are slower than in a run with faults; 1 when absent. */
  readonly slowness?: number;
  /** The milliseconds after which no further fault begins. */
  readonly limitMs?: number;
  /** Whether no announcement of a change ever arrives, so that polls have to find them all. */
  readonly losesAnnouncements?: boolean;
  /** Ends the run early, in order. */
  readonly signal?: AbortSignal;
  readonly log: (line: string) => void;
}

/** The result of a run: the injected faults by kind, the broken laws, and figures for the report. */
export interface RunResult {
  readonly faults: number;
  readonly counts: Readonly<Record<string, number>>;
  readonly findings: readonly Finding[];
  readonly figures: Readonly<Record<string, number>>;
  readonly seconds: number;
}

/** Creates the accounts, flags and vehicles of a run. */
async function furnish(cluster: Cluster, vins: readonly string[]) {
  const { url } = cluster;
  const api = await Api.admin({ url, wsUrl: webSocketOf(url) });
  /** Sends a mutation until it is applied: a machine that starts so many processes may be too busy at first. */
  const insist = (mutation: string, variables: Readonly<Record<string, unknown>>) =>
    eventually(async () => {
      const { errors } = await api.ask(mutation, variables);
      const code = errors?.[0]?.extensions['code'];
      // An attempt that was answered with an error may have been made.
      if (errors === undefined || code === 'CONFLICT') return true;
      if (code !== 'SERVICE_UNAVAILABLE') throw new Error(JSON.stringify(errors));
      return false;
    }, mutation);
  const account = async (name: string, role: string): Promise<Account> => {
    const email = `${name.replaceAll(' ', '-')}@example.com`;
    await insist('mutation ($input: CreateUserInput!) { createUser(input: $input) { id } }', {
      input: { email, name, password: PASSWORD, role },
    });
    return { email, password: PASSWORD };
  };
  for (const key of ALL)
    await insist('mutation ($input: CreateFlagInput!) { createFlag(input: $input) { applied } }', {
      input: {
        key,
        name: key,
        type: 'NUMBER',
        defaultValue: 0,
        safetyLevel: key === REVIEWED ? 'ASIL_D' : 'SAFETY_RELEVANT',
        environment: 'PRODUCTION',
        enabled: true,
      },
    });
  await insist(
    'mutation ($key: String!, $input: RuleInput!) { createRule(flagKey: $key, input: $input) { applied } }',
    { key: SCHEDULED, input: { type: 'PERCENTAGE_ROLLOUT', conditions: { rollout_percentage: 0 }, value: 1 } },
  );
  for (let from = 0; from < vins.length; from += MAX_REGISTERED)
    await insist('mutation ($input: [RegisterVehicleInput!]!) { registerVehicles(input: $input) { vin } }', {
      input: vins
        .slice(from, from + MAX_REGISTERED)
        .map((vin) => ({ vin, model: 'Ioniq 6', swVersion: '2.5.0', region: 'EU' })),
    });
  const tokens: string[] = [];
  for (const vin of vins) {
    const { issueVehicleToken } = await api.ok<{ issueVehicleToken: { token: string } }>(
      'mutation ($vin: String!) { issueVehicleToken(vin: $vin) { token } }',
      { vin },
    );
    tokens.push(issueVehicleToken.token);
  }
  const keys: unknown = await (await fetch(`${url}/.well-known/jwks.json`)).json();
  return { account, tokens, keys };
}

/** Runs faults, and gives what the checker found. */
export async function run(options: RunOptions): Promise<RunResult> {
  const began = machineMs();
  const folder = await mkdtemp(join(tmpdir(), 'fleetflag-faults-'));
  const out = options.out ?? folder;
  await mkdir(out, { recursive: true });
  const recorder = new Recorder(join(out, `history-${options.seed}.jsonl`));
  const random = new Random(options.seed);
  const cluster = await Cluster.start(folder, options.root);
  const agents: RealAgent[] = [];
  const people: Person[] = [];
  let fleet: LeanFleet | undefined;
  try {
    const lean = Array.from({ length: options.vehicles }, (_, index) => vinOf('L', index));
    const real = Array.from({ length: options.agents }, (_, index) => vinOf('R', index));
    const { account, tokens, keys } = await furnish(cluster, [...lean, ...real]);
    let tokensUsed = 0;
    const scene: Scene = {
      recorder,
      random: new Random(options.seed + 1),
      urls: cluster.gatewayUrls,
      token: () => (tokensUsed += 1),
      isPaused: false,
    };
    const wsUrl = webSocketOf(cluster.url);
    fleet = await LeanFleet.start(
      {
        url: wsUrl,
        keys,
        vehicles: lean.map((vin, index) => ({ vin, token: tokens[index]! })),
        reporters: Math.min(20, options.vehicles),
        flag: SCHEDULED,
      },
      recorder,
      options.root,
    );
    for (const [index, vin] of real.entries()) {
      const agent = new RealAgent(vin, join(folder, vin), wsUrl, recorder, options.root);
      agents.push(agent);
      await agent.begin(tokens[lean.length + index]!, keys);
    }
    const slowness = options.slowness ?? 1;
    const person = async (name: string, role: string) => new Person(name, await account(name, role), scene);
    // The approver first approves the creation of the flag that is under review.
    const approver = await person('approver', 'SAFETY');
    await eventually(async () => {
      await reviewer(1)(approver);
      return (await approver.read(REVIEWED))?.revision;
    }, 'the reviewed flag is approved');
    for (const name of ['writer 1', 'writer 2', 'writer 3'])
      people.push((await person(name, 'WRITE')).begin(1_200 * slowness, writer(FLAGS)));
    people.push((await person('stopper', 'SAFETY')).begin(1_500 * slowness, stopper(STOPPABLE)));
    for (const name of ['reader 1', 'reader 2']) people.push((await person(name, 'READ')).begin(250, reader(ALL)));
    people.push((await person('proposer', 'ADMIN')).begin(2_500 * slowness, proposer(REVIEWED)));
    people.push(approver.begin(1_500 * slowness, reviewer(0.7)));
    people.push((await person('scheduler', 'WRITE')).begin(1_500 * slowness, scheduler(SCHEDULED)));
    const nemesis = new Nemesis({
      cluster,
      fleet,
      agents,
      recorder,
      random,
      losesAnnouncements: options.losesAnnouncements ?? false,
    });
    const world = { scene, cluster, fleet, agents };
    await calm(world, recorder, options.log);
    const { soakMinutes = 0 } = options;
    if (soakMinutes > 0)
      await soak({ cluster, fleet, recorder, random, log: options.log, signal: options.signal }, soakMinutes);
    const until = machineMs() + (options.limitMs ?? Infinity);
    const isOpen = () => machineMs() < until && options.signal?.aborted !== true;
    for (let round = 1; nemesis.injected < options.faults && isOpen(); round += 1) {
      await nemesis.round(Math.min(options.atOnce, options.faults - nemesis.injected));
      if (round % ROUNDS_UNTIL_CALM === 0) await calm(world, recorder, options.log);
    }
    // People finish first, so that what they change last has to arrive.
    await Promise.all(people.map((each) => each.stop()));
    fleet.quiet();
    await stepsEnd(cluster);
    const connected = await calm(world, recorder, options.log);
    for (const agent of agents) await agent.noteFlags(ALL);
    for (const { name, output } of cluster.instances)
      for (const [detail] of output.matchAll(/^.*nothing (?:handles|catches).*$/gm))
        recorder.note({ kind: 'unforeseen', part: name, detail });
    const truth = await presentTruth(cluster, [...connected, ...real]);
    await recorder.close();
    const findings = check({ entries: recorder.entries, truth });
    await writeFile(join(out, `truth-${options.seed}.json`), JSON.stringify(truth));
    return {
      faults: nemesis.injected,
      counts: Object.fromEntries([...nemesis.counts].sort()),
      findings,
      figures: figuresOf(recorder.entries, truth),
      seconds: Math.round((machineMs() - began) / 1_000),
    };
  } finally {
    await Promise.all(people.map((each) => each.stop()));
    await fleet?.stop();
    await Promise.all(agents.map((agent) => agent.remove()));
    await cluster.remove();
    await rm(folder, { recursive: true, force: true });
  }
}

interface World {
  readonly scene: Scene;
  readonly cluster: Cluster;
  readonly fleet: LeanFleet;
  readonly agents: readonly RealAgent[];
}

/** Gives the revision that the database has now. */
async function revisionOf(cluster: Cluster): Promise<number> {
  const { rows } = await onPostgres(cluster, (client) =>
    client.query<{ revision: string }>("SELECT revision FROM environments WHERE name = 'production'"),
  );
  return Number(rows[0]?.revision);
}

/** Checks a few times a second, until it gives true or RECOVERY_MS have passed. */
async function soon(check: () => Promise<boolean>): Promise<void> {
  const until = machineMs() + RECOVERY_MS;
  while (!(await check()) && machineMs() < until) await pause(250);
}

/** Says what an agent lacks to be in step with a revision, whole and connected; null for nothing. */
function lackOf(status: AgentStatus | null, revision: number): string | null {
  if (status === null) return 'does not answer';
  if (status.revision !== revision) return `at revision ${status.revision}`;
  if (status.proof?.held !== true) return `incomplete at revision ${revision}`;
  return status.connected ? null : 'without a connection';
}

/** Waits until everything is in step with some revision, and notes how long that took. Gives the connected vehicles. */
async function calm(
  { scene, cluster, fleet, agents }: World,
  recorder: Recorder,
  log: RunOptions['log'],
): Promise<readonly string[]> {
  const from = machineMs();
  scene.isPaused = true;
  let missing: string[] = [];
  let revision = 0;
  let connected: readonly string[] = [];
  await soon(async () => {
    revision = await revisionOf(cluster);
    const standing = await fleet.standing(revision);
    ({ connected } = standing);
    const statuses = await Promise.all(agents.map(async (agent) => ({ agent, status: await agent.status() })));
    // Requests that were begun before may end now, and a schedule has steps of its own.
    const isNow = (await revisionOf(cluster)) === revision;
    missing = [
      ...(isNow ? [] : ['the revision moves']),
      ...standing.behind,
      ...statuses.flatMap(({ agent, status }) => {
        const lack = lackOf(status, revision);
        return lack === null ? [] : [`${agent.vin} ${lack}`];
      }),
    ];
    return missing.length === 0;
  });
  const tookMs = machineMs() - from;
  scene.isPaused = false;
  recorder.note({ kind: 'calm', revision, tookMs, missing });
  log(
    `in step at revision ${revision} after ${(tookMs / 1_000).toFixed(1)} s${missing.length === 0 ? '' : `, but for ${missing.length}: ${missing.slice(0, 3).join('; ')}`}`,
  );
  return connected;
}

/** Waits until no rollout has a step to come. */
async function stepsEnd(cluster: Cluster): Promise<void> {
  await soon(async () => (await readTruth(cluster, true, [], [])).steps.every(({ appliedAt }) => appliedAt !== null));
}

/** Reads the state, once the control plane knows of the present connections: of a dead gateway's after its lease. */
async function presentTruth(cluster: Cluster, connected: readonly string[]): Promise<Truth> {
  const { url } = cluster;
  // Redis may have been emptied, and with it every session.
  const api = await Api.admin({ url, wsUrl: webSocketOf(url) });
  const { auditIntegrity } = await api.ok<{ auditIntegrity: { intact: boolean } }>('{ auditIntegrity { intact } }');
  let truth!: Truth;
  await soon(async () => {
    truth = await readTruth(cluster, auditIntegrity.intact, [REVIEWED], connected);
    return truth.online.length === connected.length;
  });
  return truth;
}

function figuresOf(entries: readonly Entry[], truth: Truth): Record<string, number> {
  const calms = entries.flatMap((entry) => (entry.kind === 'calm' ? [entry.tookMs] : []));
  const number = (kind: Entry['kind']) => entries.filter((entry) => entry.kind === kind).length;
  return {
    requests: number('call'),
    states: number('state'),
    revisions: truth.revision,
    steps: truth.steps.length,
    approvals: truth.requests.filter(({ status }) => status === 'approved').length,
    measurements: Object.values(truth.measurements).reduce((sum, count) => sum + count, 0),
    longestRecoverySeconds: Math.round(Math.max(0, ...calms) / 1_000),
  };
}
