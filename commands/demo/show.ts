/**
 * The show, step by step. Every figure in it is read from the running processes or measured; a step that fails throws.
 */
import type { ApiClient } from './api-client.ts';
import { FLEET, DRIVEN } from './fleet/fleet.ts';
import { showGuard } from './guarded-rollout.ts';
import { showStages } from './staged-change.ts';
import { issueTokens } from './fleet/reporting.ts';
import { SimulatedFleet } from './fleet/simulated-fleet.ts';
import { TWO_PERSON_FLAG, requestChange, verifyAuditLog } from './two-people.ts';
import { CHANGED_UNHEARD, KILLED, REQUIRING, ROLLED_OUT, SCOPED, SEGMENT } from './flags.ts';
import { showExperiment } from './measured-experiment.ts';
import { readFlags, readSync, setUp, type Inventory, type ShownFlag } from './setting-up.ts';
import type { Stage } from './stage.ts';
import { milliseconds, shown, type Terminal } from './terminal.ts';
import type { VehicleAgent } from './fleet/vehicle-agent.ts';

const PRODUCTION_VALUES = [ROLLED_OUT, KILLED, 'regen_braking_level', 'v2l_export_limit_w'] as const;

async function timed<T>(work: () => Promise<T>): Promise<{ result: T; ms: number }> {
  const start = performance.now();
  const result = await work();
  return { result, ms: performance.now() - start };
}

function ruleOf(flags: readonly ShownFlag[], key: string): string {
  const rule = flags.find((flag) => flag.key === key)?.rules[0];
  if (rule === undefined) throw new Error(`${key} has no rule.`);
  return rule.id;
}

/** Runs all scenes of the demo, in order. Rejects at the first that fails. */
export async function runShow(stage: Stage, terminal: Terminal): Promise<void> {
  const { bold } = terminal.colors;
  const { result: api, ms } = await timed(() => stage.startControlPlane());
  const { email, password } = stage.account;
  terminal.say(`Control plane ready after ${milliseconds(ms)}. Watch along: ${bold(`${stage.url}/console`)}`);
  terminal.say(`Sign in with ${bold(email)} and ${bold(password)}`);
  terminal.say('Registering the fleet, making flags, rules and accounts …');
  const filled = await timed(() => setUp(api));
  terminal.say('Starting three agents, and connecting the other vehicles …');
  const agents = await timed(() => stage.startAgents(api));
  const { revision } = await readSync(api, 0);
  const tokens = await issueTokens(api, FLEET);
  const others = FLEET.filter((vehicle) => !DRIVEN.includes(vehicle));
  const fleet = stage.keep(await SimulatedFleet.connect(stage.network.wsUrl, tokens, others, revision));
  await Promise.all(
    agents.result.map((agent) => agent.until((status) => status.connected && status.revision === revision, 'in sync')),
  );

  terminal.step('What is there');
  terminal.say(
    `Control plane: process ${stage.controlPlanePid}, started in ${milliseconds(ms)} on embedded PostgreSQL and ClickHouse; filled through its API in ${milliseconds(filled.ms)}.`,
  );
  showInventory(filled.result, terminal);
  await showAgents(agents.result, terminal);

  await terminal.pause();
  await changeRule(api, agents.result, terminal);
  await terminal.pause();
  const approve = await requestChange(api, filled.result.reviewer, terminal);
  await reach(agents.result, TWO_PERSON_FLAG, approve, terminal);
  await terminal.pause();
  await showGuard(api, stage.directWsUrl, tokens, terminal);
  await terminal.pause();
  await showStages(api, agents.result, terminal);
  await terminal.pause();
  await pullKillSwitch(api, agents.result, fleet, terminal);
  await terminal.pause();
  await showExperiment(api, stage.directWsUrl, tokens, terminal);
  await terminal.pause();
  const values = await stopControlPlane(stage, terminal);
  await terminal.pause();
  const again = await comeBack(stage, values, terminal);
  await terminal.pause();
  await verifyAuditLog(again, terminal);
}

function showInventory({ vehicles, flags, experiment, reviewer }: Inventory, terminal: Terminal): void {
  const { dim, red, green } = terminal.colors;
  const models = [...new Set(vehicles.map(({ model }) => model))];
  const list = (values: readonly string[]) => [...new Set(values)].sort().join(' ');
  terminal.table(
    ['model', 'vehicles', 'software', 'regions'],
    models.map((model) => {
      const those = vehicles.filter((vehicle) => vehicle.model === model);
      return [
        model,
        String(those.length),
        list(those.map(({ swVersion }) => swVersion)),
        list(those.map(({ region }) => region)),
      ];
    }),
  );
  terminal.say(`${vehicles.length} vehicles. ${flags.length} flags:`);
  terminal.table(
    ['flag', 'type', 'safety level', 'environment', 'state', 'rules'],
    flags.map(({ key, type, safetyLevel, environment, enabled, killed, rules }) => [
      key,
      type.toLowerCase(),
      safetyLevel
        .toLowerCase()
        .replace('_', '-')
        .replace('asil-', 'ASIL-')
        .replace(/(?<=ASIL-)[bd]/, (level) => level.toUpperCase()),
      environment.toLowerCase(),
      killed ? red('killed') : enabled ? green('on') : dim('off'),
      rules.map((rule) => rule.type.toLowerCase()).join(', ') || dim('none'),
    ]),
  );
  terminal.say(
    `${SCOPED} is for one model, the EV9. ${REQUIRING} requires ${KILLED}, and is for the vehicles of the segment ${SEGMENT.key}.`,
  );
  terminal.say(
    `Experiment "${experiment.name}" on ${experiment.flag.key}: ${experiment.status.toLowerCase()}, ${experiment.sampleSize} vehicles wanted in each arm, by ${experiment.primaryMetric}.`,
  );
  terminal.say(
    `The ASIL-D flags took two people: ${reviewer.email} has approved them (password ${reviewer.password}).`,
  );
}

async function showAgents(agents: readonly VehicleAgent[], terminal: Terminal): Promise<void> {
  terminal.say();
  terminal.say('Three of the vehicles are driven; each has its agent, a process of its own:');
  const statuses = await Promise.all(agents.map((agent) => agent.status()));
  terminal.table(
    ['vehicle', 'VIN', 'software', 'region', 'process', 'revision', 'flags', 'file'],
    agents.map(({ vehicle, pid }, index) => {
      const { revision, flags, cacheBytes } = statuses[index]!;
      return [
        vehicle.model,
        vehicle.vin,
        vehicle.swVersion,
        vehicle.region,
        String(pid),
        String(revision),
        String(flags),
        `${Math.round(cacheBytes / 1024)} KB`,
      ];
    }),
  );
}

/**
 * Runs `mutate` and shows the value of `key` that follows in each vehicle, and the time from sending to seeing it.
 * Gives the time of sending (performance.now()).
 */
async function reach(
  agents: readonly VehicleAgent[],
  key: string,
  mutate: () => Promise<unknown>,
  terminal: Terminal,
): Promise<number> {
  const before = await Promise.all(agents.map((agent) => agent.evaluate(key)));
  const sent = performance.now();
  const [answered, ...after] = await Promise.all([
    timed(mutate),
    ...agents.map((agent, index) => agent.valueAfter(key, before[index]!.value)),
  ]);
  const { dim, bold } = terminal.colors;
  terminal.table(
    ['vehicle', key, '', 'now', 'reason', 'after'],
    agents.map((agent, index) => {
      const { value, reason, at } = after[index]!;
      return [agent.name, shown(before[index]!.value), '→', bold(shown(value)), dim(reason), milliseconds(at - sent)];
    }),
  );
  terminal.say(
    dim(
      `Measured from sending the mutation (answered after ${milliseconds(answered.ms)}) until a program in the vehicle got the new value, on disk by then.`,
    ),
  );
  return sent;
}

async function changeRule(api: ApiClient, agents: readonly VehicleAgent[], terminal: Terminal): Promise<void> {
  const rule = ruleOf(await readFlags(api), ROLLED_OUT);
  terminal.step('A rule change reaches the vehicles');
  terminal.say(`The rollout of ${ROLLED_OUT} goes from 5 % to 100 %: one updateRule mutation.`);
  await reach(
    agents,
    ROLLED_OUT,
    () =>
      api.ask('mutation ($id: ID!, $input: UpdateRuleInput!) { updateRule(id: $id, input: $input) { applied } }', {
        id: rule,
        input: { conditions: { rollout_percentage: 100, sticky: true } },
      }),
    terminal,
  );
}

async function pullKillSwitch(
  api: ApiClient,
  agents: readonly VehicleAgent[],
  fleet: SimulatedFleet,
  terminal: Terminal,
): Promise<void> {
  terminal.step('A kill switch reaches the vehicles');
  terminal.say(`Somebody stops ${KILLED} (ASIL-B) everywhere: one killSwitch mutation.`);
  const sent = await reach(
    agents,
    KILLED,
    () =>
      api.ask(
        'mutation ($flagKey: String!, $reason: String!) { killSwitch(flagKey: $flagKey, reason: $reason) { applied } }',
        { flagKey: KILLED, reason: 'Camera pipeline: unexpected steering corrections in rain' },
      ),
    terminal,
  );
  const times = await fleet.heard((await readSync(api, 0)).revision);
  const seconds = (at: number | undefined) => `${(((at ?? sent) - sent) / 1_000).toFixed(2)} s`;
  terminal.say(
    `The other ${fleet.size} vehicles, simulated, heard of it as well: half of them within ${seconds(times[times.length >> 1])}, the last after ${terminal.colors.bold(seconds(times.at(-1)))}.`,
  );
}

/** Reads some flags' values in each vehicle, as text: keys in rows, vehicles in columns. */
async function valuesIn(agents: readonly VehicleAgent[], keys: readonly string[]): Promise<string[][]> {
  return Promise.all(
    keys.map(async (key) => [
      key,
      ...(await Promise.all(agents.map(async (agent) => shown((await agent.evaluate(key)).value)))),
    ]),
  );
}

const same = (one: unknown, other: unknown) => JSON.stringify(one) === JSON.stringify(other);

async function stopControlPlane(stage: Stage, terminal: Terminal): Promise<string[][]> {
  const { agents } = stage;
  const before = await valuesIn(agents, PRODUCTION_VALUES);
  terminal.step('The control plane stops; the vehicles go on');
  const { ms } = await timed(() => stage.stopControlPlane());
  await Promise.all(agents.map((agent) => agent.until(({ connected }) => !connected, 'disconnected')));
  terminal.say(`Gateway and subgraphs are stopped (${milliseconds(ms)}). What programs in the vehicles get now:`);
  const during = await valuesIn(agents, PRODUCTION_VALUES);
  terminal.table(['flag', ...agents.map(({ name }) => name)], during);
  if (!same(during, before)) throw new Error('The vehicles evaluate differently with the control plane stopped.');

  const restarted = agents[2]!;
  await restarted.stop();
  const start = await timed(() => restarted.start());
  const { connected, revision, flags } = await restarted.status();
  if (connected) throw new Error('The restarted agent is connected to a control plane that does not run.');
  if (!same(await valuesIn(agents, PRODUCTION_VALUES), during))
    throw new Error('The restarted agent evaluates differently.');
  terminal.say(
    `The agent of the ${restarted.name} is restarted, with nobody to connect to: after ${milliseconds(start.ms)} it answers from its file`,
  );
  terminal.say(`(process ${restarted.pid}, revision ${revision}, ${flags} flags) with the same values.`);
  return during;
}

async function comeBack(stage: Stage, before: string[][], terminal: Terminal): Promise<ApiClient> {
  const { agents, network } = stage;
  const { bold, dim } = terminal.colors;
  terminal.step('The control plane comes back; the vehicles catch up');
  network.cut();
  const { result: api, ms } = await timed(() => stage.startControlPlane());
  const had = await Promise.all(agents.map((agent) => agent.status()));
  const syncsBefore = agents.map((agent) => agent.syncs().length);
  const changes = await changeUnheard(api);
  terminal.say(
    `Back in ${milliseconds(ms)} (process ${stage.controlPlanePid}) with all it had. The mobile network is still down: ${changes} changes to ${CHANGED_UNHEARD.length} flags are made that no`,
  );
  terminal.say('vehicle hears of. Then the network returns, and each vehicle comes back at its own random moment:');

  const { revision, changed } = await readSync(api, had[0]!.revision);
  const restored = performance.now();
  network.restore();
  const arrived = await Promise.all(
    agents.map(async (agent) => {
      const status = await agent.until((now) => now.connected && now.revision === revision, `at revision ${revision}`);
      return { status, at: performance.now() };
    }),
  );
  const rows = agents.map((agent, index) => {
    const sync = agent.syncs().slice(syncsBefore[index]).at(-1);
    const { status, at } = arrived[index]!;
    if (sync === undefined || sync.since !== had[index]!.revision || sync.changed !== changed.length) {
      throw new Error(
        `The ${agent.name} did not catch up with exactly what it missed: ${JSON.stringify(sync)}, not ${changed.length} flags since ${had[index]!.revision}.`,
      );
    }
    return [
      agent.name,
      String(had[index]!.revision),
      `since ${sync.since}`,
      `${sync.changed} of ${status.flags}`,
      bold(String(status.revision)),
      milliseconds(at - restored),
    ];
  });
  terminal.table(['vehicle', 'was at', 'asked for', 'flags received', 'is at', 'after'], rows);
  const unlike = (await valuesIn(agents, CHANGED_UNHEARD)).map(([key = '', ...values]) => [key, ...values]);
  terminal.say('The flags that changed, as the vehicles have them now:');
  terminal.table(['flag', ...agents.map(({ name }) => name)], unlike);
  const killed = (rows_: string[][]) => rows_.find(([key]) => key === KILLED);
  if (same(killed(unlike), killed(before))) throw new Error(`The release of ${KILLED} did not reach the vehicles.`);
  terminal.say(
    dim(
      `Sent: ${changed.join(', ')}. A vehicle is sent the flags that changed, once each, however many changes it missed.`,
    ),
  );
  return api;
}

/** Makes four changes to three flags. Gives the number that the environment counted. */
async function changeUnheard(api: ApiClient): Promise<number> {
  const { revision: first } = await readSync(api, 0);
  const flags = await readFlags(api);
  const [layers, power, killed] = CHANGED_UNHEARD;
  const update =
    'mutation ($key: String!, $input: UpdateFlagInput!) { updateFlag(key: $key, input: $input) { applied } }';
  await api.ask(update, { key: layers, input: { defaultValue: { traffic: true, chargers: false, weather: false } } });
  await api.ask(update, {
    key: layers,
    input: { defaultValue: { traffic: true, chargers: true, weather: false, parking: true } },
  });
  await api.ask('mutation ($id: ID!, $input: UpdateRuleInput!) { updateRule(id: $id, input: $input) { applied } }', {
    id: ruleOf(flags, power),
    input: { value: 3000 },
  });
  await api.ask(
    'mutation ($flagKey: String!, $reason: String!) { releaseKillSwitch(flagKey: $flagKey, reason: $reason) { applied } }',
    { flagKey: killed, reason: 'Fixed in camera firmware 4.1.2' },
  );
  return (await readSync(api, 0)).revision - first;
}

/** The last step. */
export function showDoors(stage: Stage, staysUp: boolean, terminal: Terminal): void {
  const { bold, dim } = terminal.colors;
  const { email, password } = stage.account;
  const agent = stage.agents[0]!;
  terminal.step(staysUp ? 'Explore it' : 'How to explore it');
  terminal.say(`Console      ${bold(`${stage.url}/console`)}`);
  terminal.say(`Playground   ${bold(`${stage.url}/`)}`);
  terminal.say(`E-mail       ${bold(email)}`);
  terminal.say(`Password     ${bold(password)}`);
  terminal.say();
  terminal.say(dim('Sign in; put the token into the header Authorization: Bearer …'));
  terminal.say(`curl -s ${stage.url}/graphql -H 'content-type: application/json' \\`);
  terminal.say(`  -d '{"query":"mutation { login(email: \\"${email}\\", password: \\"${password}\\") { token } }"}'`);
  terminal.say();
  terminal.say(dim(`Ask the ${agent.name}'s agent, as a program in the vehicle does`));
  terminal.say(`curl -s -X POST ${agent.url}/ofrep/v1/evaluate/flags/${ROLLED_OUT} -d '{}'`);
  terminal.say();
  if (staysUp) terminal.say('Ctrl-C ends all of it and removes every trace.');
}
