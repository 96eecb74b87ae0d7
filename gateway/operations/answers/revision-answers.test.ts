import { createHash } from 'node:crypto';
import { beforeEach, describe, expect, test } from '@jest/globals';
import { getOperationAST, parse, type OperationDefinitionNode } from 'graphql';
import { permissionScope, type Caller } from '../../../core/access/caller.ts';
import { eventually } from '../../../core/testing/eventually.ts';
import type { AnswerInputs } from '../../../core/wire/subgraph/answer-inputs.ts';
import type { SubgraphRequest, SubgraphResponse } from '../../../core/wire/subgraph/subgraph.ts';
import { API_SCHEMA } from '../../testing/api-schema.ts';
import { RevisionAnswers, type GovernedCall } from './revision-answers.ts';

const VIN = 'KMHK281HGNU000001';
const READER: Caller = { kind: 'user', userId: 'u1', role: 'READ', sessionKey: 's1' };
const OTHER_READER: Caller = { kind: 'user', userId: 'u2', role: 'READ', sessionKey: 's2' };
const WRITER: Caller = { ...READER, role: 'WRITE' };
const EVALUATE =
  'query ($vin: String) { evaluateFlags(environment: STAGING, context: { vin: $vin }) { value revision } }';

/** The state of the database, of which the inputs and the answers of the test's subgraph are made. */
let revision: number;
let facts: string;
let reads: { vins: readonly string[]; keys: readonly string[] }[];
let asked: SubgraphRequest[];
let isDown: boolean;
let answer: () => Promise<SubgraphResponse>;
let answers: RevisionAnswers;

const inputs = (): AnswerInputs => ({
  second: 1,
  environments: new Map([
    ['development', '1@1'],
    ['staging', `${revision}@1`],
    ['production', '1@1'],
  ]),
  vehicles: new Map([[VIN, facts]]),
  flags: new Map(),
});

const create = (maxBytes?: number) =>
  new RevisionAnswers({
    inputs: {
      async now(vins, keys) {
        reads.push({ vins, keys });
        return isDown ? null : inputs();
      },
    },
    flags: {
      execute(request) {
        asked.push(request);
        return answer();
      },
    },
    apiSchema: API_SCHEMA,
    supergraphSdl: 'one',
    ...(maxBytes !== undefined && { maxBytes }),
  });

beforeEach(() => {
  [revision, facts, reads, asked, isDown] = [7, '["EV9"]', [], [], false];
  answer = async () => ({ data: { evaluateFlags: [{ value: facts, revision }] } });
  answers = create();
});

function callOf(variables: Record<string, unknown> = {}, caller = READER, text = EVALUATE): GovernedCall {
  const document = parse(text);
  const operation = getOperationAST(document) as OperationDefinitionNode;
  const hash = createHash('sha256').update(text).digest('hex');
  const permitted = { document, operation, hash, given: variables, variables, cost: 1 };
  const call = answers.call(permitted, { text, operationName: undefined }, permissionScope(caller));
  if (call === null) throw new Error('Revisions do not govern it.');
  return call;
}

let turns = 0;
const turn = async () => {
  turns += 1;
  return () => void (turns -= 1);
};
const ask = (call: GovernedCall, isKnown: (tag: string) => boolean = () => false) =>
  answers.answer(call, isKnown, turn);
const textOf = async (call: GovernedCall) => (await ask(call))?.json?.toString() ?? null;
/** Waits until the last computed answer has been kept or dropped. */
const kept = () => eventually(() => answers.underWay === 0, 'the check of the state after a computation');

describe('an answer', () => {
  test('is computed once for all callers of a scope, in the name of the scope, and then sent as it is', async () => {
    const first = await textOf(callOf());
    expect(first).toBe('{"data":{"evaluateFlags":[{"value":"[\\"EV9\\"]","revision":7}]}}\n');
    await kept();
    expect(await textOf(callOf({}, OTHER_READER))).toBe(first);
    expect(asked).toHaveLength(1);
    expect(asked[0]?.identity.caller).toEqual({ kind: 'user', userId: null, role: 'READ', sessionKey: null });
    expect(answers.counts).toEqual({ held: 1, computed: 1, unchanged: 0, passed: 0 });
    expect(turns).toBe(0);
  });

  test('is computed for each scope, document and value of the variables by itself', async () => {
    for (const call of [
      callOf(),
      callOf({}, WRITER),
      callOf({ vin: VIN }),
      callOf({}, READER, `${EVALUATE} # other`),
    ]) {
      await ask(call);
      await kept();
    }
    expect(asked).toHaveLength(4);
    const tags = await Promise.all([callOf(), callOf({}, WRITER), callOf({ vin: VIN })].map((call) => ask(call)));
    expect(new Set(tags.map((found) => found?.tag)).size).toBe(3);
  });

  test('is computed once for many callers at the same time', async () => {
    let end: () => void = () => undefined;
    const response = { data: { evaluateFlags: [] } };
    answer = () => new Promise((resolve) => (end = () => resolve(response)));
    const all = Array.from({ length: 20 }, () => textOf(callOf()));
    await eventually(() => asked.length === 1 && reads.length === 20, 'the computation');
    end();
    expect(new Set(await Promise.all(all)).size).toBe(1);
    expect(asked).toHaveLength(1);
  });

  test('is computed again when something that it depends on changes, and at no other change', async () => {
    await ask(callOf({ vin: VIN }));
    await kept();
    facts = '["Ioniq"]';
    expect(await textOf(callOf({ vin: VIN }))).toContain('Ioniq');
    await kept();
    revision = 8;
    expect(await textOf(callOf({ vin: VIN }))).toContain('"revision":8');
    expect(reads.every(({ vins }) => vins[0] === VIN)).toBe(true);
    await kept();
    expect(await textOf(callOf({ vin: VIN }))).toContain('"revision":8');
    expect(asked).toHaveLength(3);
  });

  test('is not kept when something has changed while it was computed', async () => {
    answer = async () => {
      revision += 1;
      return { data: { evaluateFlags: [{ revision }] } };
    };
    expect(await textOf(callOf())).toContain('"revision":8');
    await kept();
    // A restored database stands where it stood before the computation.
    revision = 7;
    answer = async () => ({ data: { evaluateFlags: [{ revision }] } });
    expect(await textOf(callOf())).toContain('"revision":7');
  });

  test('is not sent to a client that has it, nor computed for that', async () => {
    const { tag } = (await ask(callOf())) ?? {};
    expect(tag).toMatch(/^W\/"[\w-]{43}"$/);
    answers = create();
    expect(await ask(callOf(), (known) => known === tag)).toEqual({ tag, json: null });
    expect(asked).toHaveLength(1);
    revision = 8;
    expect((await ask(callOf(), (known) => known === tag))?.tag).not.toBe(tag);
  });

  test.each([['NOT_FOUND'], ['BAD_USER_INPUT']])('is left to the transports while it is a %s error', async (code) => {
    answer = async () => ({ data: null, errors: [{ message: 'No.', extensions: { code } }] });
    expect(await ask(callOf())).toBeNull();
    await kept();
    expect(await ask(callOf())).toBeNull();
    expect(asked).toHaveLength(1);
    revision = 8;
    answer = async () => ({ data: { evaluateFlags: [] } });
    expect(await textOf(callOf())).toBe('{"data":{"evaluateFlags":[]}}\n');
    expect(answers.counts).toMatchObject({ computed: 1, passed: 2 });
  });

  test.each<[string, () => Promise<SubgraphResponse>]>([
    ['its subgraph does not answer', () => Promise.reject(new Error('isDown'))],
    [
      'a store does not answer',
      async () => ({ data: null, errors: [{ message: 'Later.', extensions: { code: 'SERVICE_UNAVAILABLE' } }] }),
    ],
    ['it has no data', async () => ({ data: null })],
    [
      'its subgraph gives it as last known, though the state could be read',
      async () => ({ data: { evaluateFlags: [{ revision: 6 }] }, extensions: { remembered: true } }),
    ],
  ])('is requested again when %s', async (_when, failing) => {
    const healthy = answer;
    answer = failing;
    expect(await ask(callOf())).toBeNull();
    await kept();
    answer = healthy;
    expect(await textOf(callOf())).toContain('"revision":7');
  });

  test('is left to the transports while its state cannot be read', async () => {
    await ask(callOf());
    isDown = true;
    expect(await ask(callOf(), () => true)).toBeNull();
  });

  test('waits for a turn only if it is computed, and ends none that was refused', async () => {
    const refuse = () => Promise.reject(new Error('no turn'));
    await expect(answers.answer(callOf(), () => false, refuse)).rejects.toThrow('no turn');
    expect(asked).toEqual([]);
    await ask(callOf());
    await kept();
    expect((await answers.answer(callOf(), () => false, refuse))?.json).toBeInstanceOf(Buffer);
  });
});

describe('the answers that are kept', () => {
  test('take no more bytes than the limit: those that were used last are kept', async () => {
    answers = create(10_000);
    answer = async () => ({ data: { evaluateFlags: ['x'.repeat(1_000)] } });
    for (let n = 0; n < 20; n++) {
      await ask(callOf({ vin: `KMHK281HGNU0000${String(n).padStart(2, '0')}` }));
      await kept();
    }
    expect(answers.bytes).toBeGreaterThan(5_000);
    expect(answers.bytes).toBeLessThanOrEqual(10_000);
    const before = asked.length;
    await ask(callOf({ vin: 'KMHK281HGNU000019' }));
    expect(asked).toHaveLength(before);
    await ask(callOf({ vin: 'KMHK281HGNU000000' }));
    expect(asked).toHaveLength(before + 1);
  });

  test('leave out one that is too large', async () => {
    answer = async () => ({ data: { evaluateFlags: ['x'.repeat(5 * 1024 * 1024)] } });
    expect((await textOf(callOf()))?.length).toBeGreaterThan(5 * 1024 * 1024);
    await kept();
    await ask(callOf());
    expect(asked).toHaveLength(2);
  });
});
