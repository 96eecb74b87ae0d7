import { describe, expect, test } from '@jest/globals';
import type { SubgraphConnection, SubgraphRequest, SubgraphResponse } from '../../core/wire/subgraph/subgraph.ts';
import { VehicleTokenGenerations, generationsReader, type RaisedGeneration } from './vehicle-token-generations.ts';

const NOW = Date.parse('2026-11-24T12:00:00Z');
const vin = (n: number) => `KMH${String(n).padStart(14, '0')}`;

/** The revocations of a control plane, read in pages of `pageSize`. */
function controlPlane(pageSize = 2) {
  const rows: RaisedGeneration[] = [];
  const [asked, ended, logged]: [{ since: number; after: string }[], string[][], string[]] = [[], [], []];
  const plane = { rows, asked, ended, logged, down: false };
  const log = (level: string) => (_fields: object, message: string) => void logged.push(`${level}: ${message}`);
  const generations = new VehicleTokenGenerations({
    async read(since, after) {
      asked.push({ since, after });
      if (plane.down) throw new Error('down');
      const sorted = [...rows].sort((a, b) => a.raisedAt - b.raisedAt || (a.vin < b.vin ? -1 : 1));
      return sorted
        .filter((row) => row.raisedAt > since || (row.raisedAt === since && row.vin > after))
        .slice(0, pageSize);
    },
    ended: (vins) => void ended.push([...vins]),
    logger: { info: log('info'), warn: log('warn'), error: log('error') },
  });
  return Object.assign(plane, { generations });
}

describe('tokens', () => {
  test('of an unknown vehicle are valid, whatever their generation', () => {
    const { generations } = controlPlane();
    expect(generations.admits(vin(1), 0)).toBe(true);
    expect(generations.admits(vin(2), 3)).toBe(true);
  });

  test("of a former generation are invalid, and no other vehicle's", () => {
    const { generations } = controlPlane();
    generations.raise(vin(1), 2);
    expect([0, 1, 2, 3].map((generation) => generations.admits(vin(1), generation))).toEqual([
      false,
      false,
      true,
      true,
    ]);
    expect(generations.admits(vin(2), 0)).toBe(true);
  });

  test('of a newer generation than known end those of earlier ones', () => {
    const { generations, ended } = controlPlane();
    expect(generations.admits(vin(1), 1)).toBe(true);
    expect(generations.admits(vin(1), 0)).toBe(false);
    expect(ended).toEqual([[vin(1)]]);
  });

  test('that are found to be revoked are reported once', () => {
    const { generations, ended } = controlPlane();
    generations.raise(vin(1), 2);
    generations.raise(vin(1), 2);
    generations.raise(vin(1), 1);
    expect(ended).toEqual([[vin(1)]]);
    generations.raise(vin(1), 3);
    expect(ended).toEqual([[vin(1)], [vin(1)]]);
  });
});

describe('the generations of the control plane', () => {
  test('are read to the end at the start, even if many have one time', async () => {
    const { generations, rows, asked, ended } = controlPlane();
    for (let n = 0; n < 5; n++) rows.push({ vin: vin(n), generation: n + 1, raisedAt: NOW });
    await generations.start();
    generations.close();
    expect(rows.map((row) => generations.admits(row.vin, row.generation - 1))).toEqual([
      false,
      false,
      false,
      false,
      false,
    ]);
    expect(asked).toEqual([
      { since: 0, after: '' },
      { since: NOW, after: vin(1) },
      { since: NOW, after: vin(3) },
      { since: NOW, after: vin(4) },
    ]);
    expect(ended.flat()).toEqual(rows.map((row) => row.vin));
  });

  test('are read once more for all calls during a poll', async () => {
    const { generations, rows, asked } = controlPlane();
    const first = generations.refresh();
    // The look under way has its answer already.
    rows.push({ vin: vin(1), generation: 1, raisedAt: NOW });
    const [second, third] = [generations.refresh(), generations.refresh()];
    await first;
    await second;
    expect(generations.admits(vin(1), 0)).toBe(false);
    await third;
    expect(asked.filter(({ after }) => after === '')).toHaveLength(2);
  });

  test('are read again from a little before the newest, so that a late commit is seen', async () => {
    const { generations, rows, asked, ended } = controlPlane();
    rows.push({ vin: vin(1), generation: 1, raisedAt: NOW });
    await generations.refresh();
    rows.push(
      { vin: vin(2), generation: 1, raisedAt: NOW - 14_000 },
      { vin: vin(1), generation: 2, raisedAt: NOW + 1 },
    );
    rows.shift();
    const from = asked.length;
    await generations.refresh();
    expect(asked[from]).toEqual({ since: NOW - 30_000, after: '' });
    expect(ended).toEqual([[vin(1)], [vin(2), vin(1)]]);
    expect([generations.admits(vin(2), 0), generations.admits(vin(1), 1)]).toEqual([false, false]);
  });

  test('may be unavailable for a while: vehicles are admitted, one line is logged, and they are read later', async () => {
    const plane = controlPlane();
    const { generations, rows, logged } = plane;
    plane.down = true;
    rows.push({ vin: vin(1), generation: 1, raisedAt: NOW });
    await generations.start();
    generations.close();
    await generations.refresh();
    expect(generations.admits(vin(1), 0)).toBe(true);
    plane.down = false;
    await generations.refresh();
    expect(generations.admits(vin(1), 0)).toBe(false);
    expect(logged).toEqual([
      expect.stringMatching(/^warn: .*trying again every 4 s$/),
      expect.stringMatching(/^info: /),
    ]);
  });
});

describe('the reader', () => {
  const reading = (answer: SubgraphResponse) => {
    const asked: SubgraphRequest[] = [];
    const connection = {
      execute: async (request: SubgraphRequest) => (asked.push(request), answer),
    } as unknown as SubgraphConnection;
    return { asked, read: generationsReader(connection) };
  };

  test('asks as the gateway itself', async () => {
    const { asked, read } = reading({
      data: { vehicleTokenGenerations: [{ vin: vin(1), generation: 2, raisedAt: '2026-11-24T12:00:00.000Z' }] },
    });
    expect(await read(NOW, vin(0))).toEqual([{ vin: vin(1), generation: 2, raisedAt: NOW }]);
    expect(asked).toMatchObject([
      { variables: { since: '2026-11-24T12:00:00.000Z', after: vin(0) }, identity: { caller: { kind: 'gateway' } } },
    ]);
  });

  test('rejects an invalid answer', async () => {
    await expect(
      reading({ data: null, errors: [{ message: 'The database is not available.' }] }).read(0, ''),
    ).rejects.toThrow('The database');
    await expect(reading({ data: null }).read(0, '')).rejects.toThrow('returned no token generations');
  });
});
