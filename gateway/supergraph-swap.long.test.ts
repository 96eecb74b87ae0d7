/** A gateway whose supergraph is replaced while clients use it. */
import { mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { parse, print, visit } from 'graphql';
import { eventually } from '../core/testing/eventually.ts';
import type { SubgraphResponse } from '../core/wire/subgraph/subgraph.ts';
import { ScriptedGateway } from './testing/scripted-gateway.ts';

const WHOLE = new URL('composition/supergraph.graphql', import.meta.url);
const FLAG = '{ flag(key: "eco") { key description } }';
const KEPT = '{ flag(key: "eco") { key } }';
const CHANGES = 'subscription { flagChanges(environment: STAGING) { revision } }';

let folder: string;
let file: string;
let whole: string;
let gateway: ScriptedGateway;

/** The supergraph of before a field came: without `Flag.description`. */
function former(): string {
  const document = visit(parse(whole), {
    ObjectTypeDefinition: (type) =>
      type.name.value === 'Flag'
        ? { ...type, fields: (type.fields ?? []).filter(({ name }) => name.value !== 'description') }
        : undefined,
  });
  return print(document);
}

/** Replaces the file as deployments do: at once. */
async function deploy(text: string): Promise<void> {
  await writeFile(`${file}.next`, text);
  await rename(`${file}.next`, file);
}

const inForce = (count: number) =>
  eventually(
    () => gateway.logged.filter(({ message }) => message === 'Another supergraph is in force').length === count,
  );

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'fleetflag-supergraph-'));
  file = join(folder, 'supergraph.graphql');
  whole = await readFile(WHOLE, 'utf8');
  await deploy(former());
  gateway = await ScriptedGateway.start({ supergraphFile: file });
  gateway.answer = async () => ({
    data: { flag: { key: 'eco', description: 'Drives on little', __typename: 'Flag' } },
  });
  gateway.answerGateway = async () => ({
    data: { answerInputs: { second: 1, environments: { staging: '1@1' }, vehicles: {}, flags: {} } },
  });
});
afterEach(async () => {
  await gateway.close();
  await rm(folder, { recursive: true, force: true });
});

test('a new field is there as soon as the file has it, and gone when the file has it no more', async () => {
  expect((await gateway.ask(FLAG)).status).toBe(400);
  await deploy(whole);
  await inForce(1);
  expect((await gateway.ask(FLAG)).body).toMatchObject({
    data: { flag: { key: 'eco', description: 'Drives on little' } },
  });
  // Once more: its document, its check and its answer are kept now.
  expect((await gateway.ask(FLAG)).status).toBe(200);
  await deploy(former());
  await inForce(2);
  expect((await gateway.ask(FLAG)).status).toBe(400);
});

test('a query that is under way ends on the schema on which it began', async () => {
  await deploy(whole);
  await inForce(1);
  let answerNow!: (response: SubgraphResponse) => void;
  gateway.answer = () => new Promise((resolve) => (answerNow = resolve));
  const asking = gateway.ask('mutation { enableFlag(key: "eco") { flag { key description } } }');
  await eventually(() => gateway.asked.some(({ query }) => query.includes('enableFlag')));
  await deploy(former());
  await inForce(2);
  answerNow({ data: { enableFlag: { flag: { key: 'eco', description: 'Old' } } } });
  expect((await asking).body).toEqual({ data: { enableFlag: { flag: { key: 'eco', description: 'Old' } } } });
});

test('sockets stay open and their subscriptions go on, old and new ones', async () => {
  const client = await gateway.client();
  client.subscribe('old', CHANGES);
  await eventually(() => gateway.counters().operations === 1);
  await deploy(whole);
  await inForce(1);
  client.subscribe('new', CHANGES);
  await eventually(() => gateway.counters().operations === 2);
  gateway.events.emit({ data: { flagChanges: { revision: 7 } } });
  for (const id of ['old', 'new'])
    expect(await client.result(id)).toMatchObject({ data: { flagChanges: { revision: 7 } } });
  expect(gateway.counters().sockets).toBe(1);
});

test('an answer that was kept under the schema before is computed again', async () => {
  const computed = () => gateway.asked.length;
  await gateway.ask(KEPT);
  await eventually(async () => {
    const before = computed();
    await gateway.ask(KEPT);
    return computed() === before;
  }, 'the answer is kept');
  const before = computed();
  await deploy(whole);
  await inForce(1);
  await gateway.ask(KEPT);
  expect(computed()).toBe(before + 1);
});

test.each([
  ['is no schema', 'type Query {'],
  ['is no supergraph', 'type Query { flag: String }'],
  ['is empty', ''],
])('a file that %s changes nothing, and the log says so once', async (_what, text) => {
  const faults = () => gateway.logged.filter(({ level }) => level === 'error');
  await deploy(text);
  await eventually(() => faults().length > 0);
  expect((await gateway.ask(KEPT)).status).toBe(200);
  await deploy(whole);
  await inForce(1);
  expect(faults().map(({ message }) => message)).toEqual([
    'The supergraph cannot be used; keeping the one in force until the file changes again',
  ]);
  expect((await gateway.ask(FLAG)).status).toBe(200);
});

test('a file that is gone changes nothing, either', async () => {
  await rm(file);
  await eventually(() => gateway.logged.some(({ message }) => message.startsWith('Cannot read the supergraph')));
  expect((await gateway.ask(KEPT)).status).toBe(200);
  await deploy(whole);
  await inForce(1);
});

test('a supergraph with a subgraph that there is not is refused', async () => {
  await deploy(whole.replaceAll('AUDIT', 'LEDGER').replaceAll('name: "audit"', 'name: "ledger"'));
  await eventually(() => gateway.logged.some(({ level }) => level === 'error'));
  expect((await gateway.ask(KEPT)).status).toBe(200);
});
