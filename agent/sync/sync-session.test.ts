import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { DEFINITION_JWS_TYPE, STATEMENT_JWS_TYPE } from '../../core/wire/vehicle/definition.ts';
import { PROOF_JWS_TYPE } from '../../core/wire/vehicle/proof.ts';
import type { FleetFlagAgentOptions } from '../assembly/agent-options.ts';
import type { FleetFlagAgent } from '../assembly/fleet-flag-agent.ts';
import { TestControlPlane } from '../testing/control-plane.ts';
import type { ChangeMessage } from '../testing/wire-messages.ts';
import { createSigningKey, signJws } from '../testing/signing.ts';
import { TestVehicle } from '../testing/test-vehicle.ts';
import { eventually } from '../../core/testing/eventually.ts';
import { rounds } from '../../core/testing/rounds.ts';
import { ON } from '../testing/rules.ts';

let plane: TestControlPlane;
let vehicle: TestVehicle;

beforeEach(async () => {
  plane = await TestControlPlane.start();
  vehicle = await TestVehicle.create(plane);
});

afterEach(async () => {
  await vehicle.dispose();
  await plane.stop();
});

async function synced(options: Partial<FleetFlagAgentOptions> = {}): Promise<FleetFlagAgent> {
  const agent = await vehicle.start(options);
  await agent.ready();
  await eventually(() => plane.streams > 0, 'the stream is open');
  plane.syncs.length = 0;
  return agent;
}

describe('changes of the stream', () => {
  test('a gap is closed by a sync since the own revision', async () => {
    await plane.put('a');
    const agent = await synced();
    plane.onChange = (change) => (change.revision === 2 ? [] : [change]);
    await plane.put('b');
    await plane.put('c');
    await eventually(() => agent.status().revision === 3, 'both are there');
    expect(plane.syncs).toEqual([1]);
    expect(agent.flagKeys()).toEqual(['a', 'b', 'c']);
  });

  test('duplicates and changes that come late are ignored without a word', async () => {
    const agent = await synced();
    const sent: ChangeMessage[] = [];
    plane.onChange = (change) => {
      sent.push(change);
      return [change, change];
    };
    await plane.put('a', { defaultValue: false });
    await plane.put('a', { defaultValue: true });
    await eventually(() => agent.status().revision === 2, 'the second is applied');
    plane.onChange = (change) => [...sent, change];
    await plane.put('b');
    await eventually(() => agent.status().revision === 3, 'the third is applied');
    expect(agent.booleanValue('a', false)).toBe(true);
    expect(agent.status().refusals).toEqual({});
    expect(plane.syncs).toEqual([]);
  });

  test('what happens while a sync is under way is kept and applied after it', async () => {
    await plane.put('a');
    let changed = false;
    plane.onSync = async (answer) => {
      if (!changed) {
        changed = true;
        await eventually(() => plane.streams > 0, 'the subscription came first');
        await plane.put('a', { defaultValue: true });
      }
      return answer;
    };
    const agent = await vehicle.start();
    await eventually(() => agent.status().revision === 2, 'the change is applied');
    expect(agent.booleanValue('a', false)).toBe(true);
    expect(plane.syncs).toEqual([0]);
  });
});

describe('what is not believed', () => {
  test('a definition under another key keeps its whole set back, and all of it comes with the next sync', async () => {
    await plane.put('a', { rules: [ON] });
    await plane.put('b', { rules: [ON] });
    const other = { ...(await createSigningKey()), kid: plane.key.kid };
    plane.onSync = async (answer) => ({
      ...answer,
      flags: await Promise.all(
        answer.flags.map(async (flag) =>
          flag.key === 'a' ? plane.signedFlag('a', flag.revision, plane.definitions().get('a')!, other) : flag,
        ),
      ),
    });
    const agent = await vehicle.start();
    await eventually(() => (agent.status().refusals.signature ?? 0) > 1, 'it was refused more than once');
    expect(agent.status()).toMatchObject({ revision: 0, flags: 0 });
    expect(agent.status().refusals.incomplete).toBeGreaterThan(0);
    plane.onSync = (answer) => answer;
    await eventually(() => agent.status().revision === 2, 'it is caught up');
    expect(agent.booleanValue('a', false)).toBe(true);
  });

  test('flags age while a definition is refused: the set that was proven last is not the one of now', async () => {
    const day = 86_400_000;
    let clock = Date.now();
    plane.now = () => clock;
    await plane.put('a', { rules: [ON] });
    await plane.put('b', { rules: [ON] });
    const agent = await vehicle.start({ now: () => clock, timings: { resyncMs: 20 } });
    await agent.ready();
    plane.onChange = () => [];
    plane.onSync = (answer) => ({
      ...answer,
      flags: answer.flags.map((flag) => ({ ...flag, jws: flag.jws.slice(0, -8) + 'AAAAAAAA' })),
    });
    await plane.put('a', { rules: [] });
    clock += 8 * day;
    await eventually(
      () => (agent.status().refusals.signature ?? 0) > 0 && agent.status().staleFlags === 2,
      'the answer came',
    );
    expect(agent.status().refusals.incomplete).toBeGreaterThan(0);
    expect(agent.booleanDetails('a', true)).toMatchObject({ value: false, reason: 'STALE' });
    expect(agent.booleanDetails('b', true)).toMatchObject({ value: false, reason: 'STALE' });
  });

  const forgeries: [string, string, (change: ChangeMessage) => Promise<ChangeMessage> | ChangeMessage][] = [
    ['a changed byte of the payload', 'signature', (change) => withJws(change, flipPayload(change.signed.jws))],
    [
      'a key that is not pinned',
      'unknown-key',
      async (change) => ({ ...change, signed: await plane.signedFlag('a', 2, null, await createSigningKey()) }),
    ],
    [
      'a definition of another environment',
      'wrong-environment',
      async (change) =>
        withJws(
          change,
          await signJws(plane.key, DEFINITION_JWS_TYPE, {
            v: 1,
            environment: 'staging',
            key: 'a',
            revision: 2,
            removed: true,
          }),
        ),
    ],
    ['an event of another environment', 'wrong-environment', (change) => ({ ...change, environment: 'STAGING' })],
    [
      'a definition of another flag',
      'wrong-flag',
      async (change) => withJws(change, (await plane.signedFlag('b', 2, null)).jws),
    ],
    [
      'an envelope with a higher revision',
      'wrong-flag',
      (change) => ({ ...change, revision: 9, signed: { ...change.signed, revision: 9 } }),
    ],
    [
      'an envelope that makes it a tombstone',
      'wrong-flag',
      (change) => ({ ...change, signed: { ...change.signed, removed: true } }),
    ],
    [
      'a signature made for statements',
      'wrong-type',
      async (change) =>
        withJws(
          change,
          await signJws(plane.key, STATEMENT_JWS_TYPE, {
            v: 1,
            environment: 'production',
            key: 'a',
            revision: 2,
            removed: true,
          }),
        ),
    ],
    [
      'a definition that does not say whether it is a tombstone',
      'malformed',
      async (change) =>
        withJws(
          change,
          await signJws(plane.key, DEFINITION_JWS_TYPE, { v: 1, environment: 'production', key: 'a', revision: 2 }),
        ),
    ],
    ['something that is no JWS', 'malformed', (change) => withJws(change, 'nonsense')],
    ['a proof that is no JWS', 'malformed', (change) => ({ ...change, proof: 'nonsense' })],
    [
      'a proof under a key that is not pinned',
      'unknown-key',
      async (change) => ({ ...change, proof: await plane.proof({ revision: 2, key: await createSigningKey() }) }),
    ],
    [
      'a statement in place of the proof',
      'wrong-type',
      async (change) => ({ ...change, proof: await plane.statement(2) }),
    ],
    [
      'a proof without a set',
      'malformed',
      async (change) => ({
        ...change,
        proof: await signJws(plane.key, PROOF_JWS_TYPE, {
          v: 2,
          environment: 'production',
          partition: null,
          revision: 2,
          issuedAt: 1,
        }),
      }),
    ],
    [
      'a proof of another environment',
      'wrong-environment',
      async (change) => ({
        ...change,
        proof: await signJws(plane.key, PROOF_JWS_TYPE, {
          v: 2,
          environment: 'staging',
          partition: null,
          revision: 2,
          issuedAt: 1,
          set: 'A'.repeat(43),
        }),
      }),
    ],
  ];

  test.each(forgeries)(
    '%s is refused and counted as %s, and the true change still arrives',
    async (_what, reason, forge) => {
      await plane.put('a', { rules: [ON] });
      const agent = await synced();
      let release: () => void = () => undefined;
      const held = new Promise<void>((resolve) => (release = resolve));
      plane.onSync = async (answer) => {
        await held;
        return answer;
      };
      plane.onChange = async (change) => [await forge(change)];
      await plane.put('a', { rules: [] });
      await eventually(() => Object.keys(agent.status().refusals).length > 0, 'it is refused');
      expect(agent.status().refusals).toEqual({ [reason]: 1 });
      expect(agent.status().revision).toBe(1);
      expect(agent.booleanValue('a', false)).toBe(true);
      release();
      await eventually(() => agent.status().revision === 2, 'a sync repairs it');
      expect(agent.booleanValue('a', true)).toBe(false);
    },
  );

  test('a sync below the own revision, as of a restored server, is refused and reported', async () => {
    await plane.put('a', { rules: [ON] });
    await plane.put('a', { rules: [ON] });
    const agent = await synced();
    plane.revision = 1;
    plane.disconnect(1012);
    await eventually(() => (agent.status().refusals['revision-below-own'] ?? 0) > 0, 'it is refused');
    expect(agent.status().revision).toBe(2);
    expect(agent.booleanValue('a', false)).toBe(true);
  });

  test('a revision that only the envelope names does not lock the vehicle out', async () => {
    await plane.put('a');
    plane.onSync = (answer) => ({ ...answer, revision: 1_000_000 });
    const agent = await vehicle.start();
    await eventually(() => agent.status().syncCount > 0, 'it is refused');
    await eventually(() => agent.status().revision === 1, 'the proven part counts');
    plane.onSync = (answer) => answer;
    await plane.put('b');
    await eventually(() => agent.status().revision === 2, 'the next change counts');
  });

  test('an old definition in a later sync does not bring a removed flag back', async () => {
    await plane.put('a', { rules: [ON] });
    const old = await plane.signedFlag('a', 1, plane.definitions().get('a')!);
    const agent = await synced();
    await plane.remove('a');
    await eventually(() => agent.status().revision === 2, 'it is removed');
    plane.onSync = (answer) => ({ ...answer, flags: [...answer.flags, old] });
    plane.disconnect(1012);
    await eventually(() => plane.syncs.includes(2) && agent.status().syncCount > 1, 'it has synced again');
    expect(agent.flagKeys()).toEqual([]);
  });

  test('while a refused definition blocks the revision, later kill switches act all the same', async () => {
    await plane.put('a', { rules: [ON] });
    await plane.put('b', { rules: [ON] });
    // The next sync is far away: only the stream can bring the change.
    const agent = await synced({ random: () => 0.9, timings: { backoffMs: 1_000_000, backoffCapMs: 1_000_000 } });
    plane.onChange = (change) => [change.signed.key === 'a' ? withJws(change, flipPayload(change.signed.jws)) : change];
    await plane.put('a', { enabled: false });
    await plane.put('b', { enabled: false });
    await eventually(() => !agent.booleanValue('b', true), 'the later one is applied');
    expect(agent.booleanValue('a', false)).toBe(true);
    expect(agent.status().revision).toBe(2);
    expect(plane.syncs).toEqual([]);
  });
});

test('whatever is lost, doubled or reordered on the way, the vehicle ends where the control plane is', async () => {
  const edit = fc.record({
    key: fc.constantFrom('a', 'b', 'c'),
    remove: fc.boolean(),
    delivery: fc.constantFrom('deliver', 'drop', 'double', 'hold'),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(edit, { minLength: 1, maxLength: 12 }), async (edits) => {
      const server = await TestControlPlane.start();
      const car = await TestVehicle.create(server);
      try {
        const agent = await car.start();
        await agent.ready();
        let held: ChangeMessage[] = [];
        for (const { key, remove, delivery } of edits) {
          server.onChange = (change) => {
            if (delivery === 'drop') return [];
            if (delivery === 'hold') {
              held.push(change);
              return [];
            }
            const late = held.reverse();
            held = [];
            return delivery === 'double' ? [change, ...late, change] : [change, ...late];
          };
          await (remove ? server.remove(key) : server.put(key, { defaultValue: edits.length % 2 === 0 }));
        }
        server.onChange = (change) => [change];
        await server.put('last');
        await eventually(() => agent.status().revision === server.revision, 'the revisions agree');
        const present = new Map(agent.flagKeys().map((key) => [key, agent.evaluate(key)!.definition]));
        expect(present).toEqual(server.definitions());
        expect(agent.status().refusals).toEqual({});
      } finally {
        await car.dispose();
        await server.stop();
      }
    }),
    { numRuns: rounds(8, 25) },
  );
});

function withJws(change: ChangeMessage, jws: string): ChangeMessage {
  return { ...change, signed: { ...change.signed, jws } };
}

/** The same JWS with one character of its payload changed. */
function flipPayload(jws: string): string {
  const [header, payload, signature] = jws.split('.') as [string, string, string];
  const at = payload.length >> 1;
  return [header, payload.slice(0, at) + (payload[at] === 'A' ? 'B' : 'A') + payload.slice(at + 1), signature].join(
    '.',
  );
}
