import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import type { Caller } from '../../../core/access/caller.ts';
import { FleetFlagError } from '../../../core/errors.ts';
import type { PrismaClient } from '../../../prisma/generated/client.ts';
import { createInProcessStore } from '../stores/key-value-store.ts';
import { positionOf } from './log-positions.ts';
import { Replicas, primaryReads, type ReplicasOptions } from './replica-reads.ts';

const ANNA: Caller = { kind: 'user', userId: 'anna', role: 'WRITE', sessionKey: 's' };
const BEN: Caller = { kind: 'user', userId: 'ben', role: 'READ', sessionKey: 't' };

/** Clients that only say which server they are of. */
const client = (name: string) => ({ name }) as unknown as PrismaClient;
const PRIMARY = client('primary');
const where = async (db: PrismaClient) => (db as unknown as { name: string }).name;

/** A primary and two replicas whose positions the test sets. */
let primary: { position: bigint | Error };
let states: Record<'a' | 'b', { replayed: bigint; isStandby: boolean; fault: Error | null }>;
let lines: string[];
let store: ReplicasOptions['store'];
let replicas: Replicas;

function open(times: ReplicasOptions['times'] = {}): Replicas {
  const note = (_fields: object, message: string) => void lines.push(message);
  return new Replicas({
    prisma: PRIMARY,
    replicas: (['a', 'b'] as const).map((name) => ({
      name,
      prisma: client(name),
      readState: async () => {
        const { fault, ...state } = states[name];
        if (fault !== null) throw fault;
        return state;
      },
    })),
    async readPosition() {
      if (primary.position instanceof Error) throw primary.position;
      return primary.position;
    },
    store,
    logger: { info: note, warn: note } as unknown as ReplicasOptions['logger'],
    times,
  });
}

beforeEach(() => {
  primary = { position: 100n };
  states = {
    a: { replayed: 100n, isStandby: true, fault: null },
    b: { replayed: 100n, isStandby: true, fault: null },
  };
  lines = [];
  store = createInProcessStore();
  replicas = open();
});
afterEach(() => replicas.close());

/** The servers of the next reads of a caller, one an operation. */
const placesOf = async (caller: Caller, count: number) => {
  const places = [];
  for (let n = 0; n < count; n++) places.push(await replicas.of(caller).read(where));
  return places;
};

test('a position of the log is one number', () => {
  expect(positionOf('0/0')).toBe(0n);
  expect(positionOf('16/B374D848')).toBe(0x16_b374_d848n);
  expect(() => positionOf('later')).toThrow('"later" is no position of a log');
});

test('without replicas everything is read at the primary', async () => {
  const reads = primaryReads(PRIMARY);
  await reads.seen(ANNA, true);
  expect(await reads.of(ANNA).read(where)).toBe('primary');
});

describe('a caller', () => {
  beforeEach(() => replicas.poll());

  test('reads at the replicas in turn, and all of one operation at the same', async () => {
    expect(await placesOf(ANNA, 4)).toEqual(['a', 'b', 'a', 'b']);
    const reads = replicas.of(ANNA);
    expect([await reads.read(where), await reads.read(where)]).toEqual(['a', 'a']);
  });

  test('who has written reads at the primary until a replica has replayed it; the others read on at replicas', async () => {
    await replicas.seen(BEN, false);
    primary.position = 110n;
    await replicas.seen(ANNA, true);
    expect(await placesOf(ANNA, 2)).toEqual(['primary', 'primary']);
    expect(await placesOf(BEN, 1)).not.toContain('primary');
    states.a.replayed = 110n;
    await replicas.poll();
    expect(await placesOf(ANNA, 2)).toEqual(['a', 'a']);
  });

  test('whose position the store has lost reads nothing older than what they have written', async () => {
    primary.position = 110n;
    await replicas.seen(ANNA, true);
    store = createInProcessStore();
    const other = open();
    await other.poll();
    expect(await other.of(ANNA).read(where)).toBe('primary');
    states.b.replayed = 110n;
    await other.poll();
    expect(await other.of(ANNA).read(where)).toBe('b');
    // While the primary is down nothing newer can be written, and the replicas go on.
    primary.position = new Error('down');
    expect(await other.of(BEN).read(where)).toBe('b');
    await other.close();
  });

  test('is found again in another process by the position in the store', async () => {
    primary.position = 110n;
    await replicas.seen(ANNA, true);
    const other = open();
    await other.poll();
    expect(await other.of(ANNA).read(where)).toBe('primary');
    await other.close();
  });

  test('a replica that has gone on since the last look is asked before the primary is taken', async () => {
    primary.position = 110n;
    await replicas.seen(ANNA, true);
    states.a.replayed = states.b.replayed = 110n;
    expect(await placesOf(ANNA, 2)).not.toContain('primary');
  });

  test('who has seen the primary does not see less at a replica, though the caller has written nothing', async () => {
    primary.position = 110n;
    await replicas.seen(BEN, false);
    expect(await placesOf(BEN, 1)).toEqual(['primary']);
  });

  test('of a shared subscription, and a vehicle, reads at the primary', async () => {
    expect(await placesOf({ ...BEN, userId: null, sessionKey: null }, 1)).toEqual(['primary']);
    expect(await placesOf({ kind: 'vehicle', vin: 'KMHK281HGNU000001', environment: 'production' }, 1)).toEqual([
      'primary',
    ]);
  });

  test('whose change has no stored position makes the process read at the primary', async () => {
    store.set = () => Promise.reject(new Error('away'));
    await replicas.seen(BEN, false);
    expect(await placesOf(ANNA, 1)).not.toContain('primary');
    await replicas.seen(ANNA, true);
    await replicas.seen(ANNA, true);
    expect(await placesOf(BEN, 1)).toEqual(['primary']);
    expect(lines.filter((line) => line.startsWith('Cannot store'))).toHaveLength(1);
  });

  test('whose position cannot be read reads at the primary', async () => {
    store.get = () => Promise.reject(new Error('away'));
    expect(await placesOf(ANNA, 1)).toEqual(['primary']);
  });

  test('reads on at replicas while the primary is down', async () => {
    primary.position = new Error('away');
    await replicas.poll();
    await replicas.seen(BEN, false);
    expect(await placesOf(BEN, 1)).not.toContain('primary');
  });
});

describe('a replica', () => {
  test('is not read before the first look', async () => {
    expect(await placesOf(ANNA, 1)).toEqual(['primary']);
  });

  test('that does not answer is left out, noticed once, and comes back', async () => {
    await replicas.poll();
    states.a.fault = new Error('away');
    await replicas.poll();
    await replicas.poll();
    expect(await placesOf(ANNA, 2)).toEqual(['b', 'b']);
    states.a.fault = null;
    await replicas.poll();
    expect(new Set(await placesOf(ANNA, 2))).toEqual(new Set(['a', 'b']));
    states.a.fault = new Error('away again');
    await replicas.poll();
    expect(lines.filter((line) => line.includes('left out'))).toHaveLength(2);
  });

  test('that takes writes is none', async () => {
    states.a.isStandby = false;
    await replicas.poll();
    expect(await placesOf(ANNA, 2)).toEqual(['b', 'b']);
  });

  test('that is too far behind is left out, and a quiet primary makes nobody late', async () => {
    await replicas.close();
    replicas = open({ maxLagMs: 0 });
    await replicas.poll();
    await replicas.poll();
    expect(await placesOf(ANNA, 1)).not.toContain('primary');
    primary.position = 110n;
    states.a.replayed = 110n;
    await replicas.poll();
    await replicas.poll();
    expect(await placesOf(ANNA, 2)).toEqual(['a', 'a']);
    expect(lines).toContainEqual(expect.stringContaining('behind the primary'));
    states.b.replayed = 110n;
    await replicas.poll();
    expect(new Set(await placesOf(ANNA, 2))).toEqual(new Set(['a', 'b']));
  });

  test('whose answer fails is asked no more in this operation: the primary answers instead', async () => {
    await replicas.poll();
    const reads = replicas.of(ANNA);
    const away = Object.assign(new Error('gone'), { code: 'ECONNRESET' });
    const failing = async (db: PrismaClient) => {
      const name = await where(db);
      if (name !== 'primary') throw away;
      return name;
    };
    expect(await reads.read(failing)).toBe('primary');
    expect(await reads.read(where)).toBe('primary');
    expect(await placesOf(ANNA, 2)).toEqual(['b', 'b']);
  });

  test('that ends a read because of what it replays stays in use', async () => {
    await replicas.poll();
    const conflict = Object.assign(new Error('conflict with recovery'), { code: '40001' });
    await replicas.of(ANNA).read(async (db) => {
      if ((await where(db)) !== 'primary') throw conflict;
    });
    expect(new Set(await placesOf(ANNA, 4))).toEqual(new Set(['a', 'b']));
  });

  test('that does not end a read in time is left out, and the primary answers', async () => {
    await replicas.close();
    replicas = open({ readMs: 10 });
    await replicas.poll();
    const hanging = async (db: PrismaClient) => {
      const name = await where(db);
      return name === 'primary' ? name : new Promise<string>(() => undefined);
    };
    expect(await replicas.of(ANNA).read(hanging)).toBe('primary');
    expect(await placesOf(ANNA, 2)).toEqual(['b', 'b']);
  });

  test("a refusal that a read gives is the caller's, and read once", async () => {
    await replicas.poll();
    let reads = 0;
    const refused = replicas.of(ANNA).read(async () => {
      reads += 1;
      throw new FleetFlagError('BAD_USER_INPUT', 'No.');
    });
    await expect(refused).rejects.toMatchObject({ code: 'BAD_USER_INPUT' });
    expect(reads).toBe(1);
  });
});
