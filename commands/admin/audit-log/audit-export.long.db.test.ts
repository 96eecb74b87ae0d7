import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { copyFile, mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import type { JsonValue } from '../../../core/model.ts';
import { canonicalJson } from '../../../core/json/canonical-json.ts';
import { checkIntegrity } from '../../../subgraphs/audit/log/integrity.ts';
import { appendAudit, auditHash } from '../../../subgraphs/shared/audit/audit-log.ts';
import { ANONYMOUS, identityOf } from '../../../subgraphs/shared/testing/asking.ts';
import { createTestDatabase, type TestDatabase } from '../../../subgraphs/shared/testing/test-database.ts';
import { readConfiguration } from '../../../main/configuration.ts';
import { auditExportCommand } from './audit-export.ts';

const VERIFIER = fileURLToPath(new URL('verify-audit-export.mjs', import.meta.url));
/** The number of audit entries: enough for several pages of the export. */
const ENTRIES = 450;

let database: TestDatabase;
/** A folder that stands for another machine, which has only Node, the verifier and the file. */
let folder: string;
let whole: string;
let times: Date[];

const prisma = () => database.database.prisma;
const period = (from: Date | string, to: Date | string) => [
  '--from',
  new Date(from).toISOString(),
  '--to',
  new Date(to).toISOString(),
];
const wholePeriod = () => period(times[0]!, new Date(times.at(-1)!.getTime() + 1));

beforeAll(async () => {
  database = await createTestDatabase();
  folder = await mkdtemp(join(tmpdir(), 'fleetflag-audit-export-'));
  await copyFile(VERIFIER, join(folder, 'verify.mjs'));
  const start = Date.now() + 3_600_000;
  await prisma().$transaction(
    async (tx) => {
      for (let count = 0; count < ENTRIES; count++) {
        await tx.$executeRaw`UPDATE audit_chain SET last_at = ${new Date(start + count * 1_000)}`;
        await appendAudit(tx, identityOf(ANONYMOUS), {
          action: 'UPDATE_FLAG',
          before: { count, z: [1e21, 0.1, -0] },
          after: { 'ü\u0001': null, a: '🚗' },
        });
      }
    },
    { timeout: 60_000 },
  );
  times = (await prisma().auditLog.findMany({ orderBy: { chainPosition: 'asc' } })).map(({ createdAt }) => createdAt);
  whole = join(folder, 'whole.jsonl');
  await run([...wholePeriod(), '--out', whole]);
});
afterAll(async () => {
  await database.drop();
  await rm(folder, { recursive: true, force: true });
});

async function run(args: string[]): Promise<string[]> {
  const out: string[] = [];
  const configuration = readConfiguration({
    DATABASE_URL: database.url,
    FLEETFLAG_DATA_DIR: folder,
    LOG_LEVEL: 'silent',
  });
  expect(await auditExportCommand(args, configuration, { out: (line) => out.push(line), err: () => undefined })).toBe(
    0,
  );
  return out;
}

function verify(...args: string[]): Promise<{ code: number; out: string; err: string }> {
  return new Promise((resolve) => {
    execFile(process.execPath, [join(folder, 'verify.mjs'), ...args], { cwd: folder, env: {} }, (error, out, err) =>
      resolve({ code: error === null ? 0 : Number(error.code), out, err }),
    );
  });
}

const linesOf = async (path: string) => (await readFile(path, 'utf8')).trimEnd().split('\n');

async function fileOf(lines: string[], end = '\n'): Promise<string> {
  const path = join(folder, `${randomUUID()}.jsonl`);
  await writeFile(path, lines.join('\n') + end);
  return path;
}

type Row = Parameters<typeof auditHash>[1] & { previousHash: string; hash: string };
const rowOf = (line: string | undefined) => JSON.parse(line ?? '') as Row;
/** Gives the row with the hash that it must have. */
const hashed = ({ previousHash, hash: _, ...content }: Row) => ({
  ...content,
  previousHash,
  hash: auditHash(previousHash, content),
});

describe('an export', () => {
  test('contains a header and each entry with everything that its hash covers, and is verified with nothing but Node', async () => {
    const lines = await linesOf(whole);
    const rows = lines.slice(1).map(rowOf);
    expect(JSON.parse(lines[0]!)).toEqual({
      fleetflagAuditExport: 1,
      from: times[0]!.toISOString(),
      to: new Date(times.at(-1)!.getTime() + 1).toISOString(),
      firstPosition: 1,
      lastPosition: ENTRIES,
      count: ENTRIES,
      previousHash: '0'.repeat(64),
      lastHash: rows.at(-1)!.hash,
    });
    expect(rows.map(({ position }) => position)).toEqual(Array.from({ length: ENTRIES }, (_, index) => index + 1));
    const { code, out, err } = await verify(whole);
    expect([code, err]).toEqual([0, '']);
    expect(out).toContain(`Intact: ${ENTRIES} entries`);
    expect(out).toContain(rows.at(-1)!.hash);
  });

  test('of a period begins with the hash before it, and is printed when no file is named', async () => {
    const lines = await run(period(times[100]!, times[200]!));
    expect(JSON.parse(lines[0]!)).toMatchObject({
      firstPosition: 101,
      lastPosition: 200,
      count: 100,
      previousHash: rowOf((await linesOf(whole))[100]).hash,
    });
    expect(await verify(await fileOf(lines))).toMatchObject({ code: 0 });
  });

  test('of a period without entries reports that', async () => {
    const lines = await run(period('2001-01-01', '2001-02-01'));
    expect(lines).toHaveLength(1);
    expect(await verify(await fileOf(lines))).toMatchObject({ code: 0, out: expect.stringContaining('0 entries') });
  });

  test('replaces a file only with the option for it, and leaves no half-written one', async () => {
    const path = await fileOf(['mine']);
    await expect(run([...wholePeriod(), '--out', path])).rejects.toThrow('--force');
    expect(await readFile(path, 'utf8')).toBe('mine\n');
    await run([...wholePeriod(), '--out', path, '--force']);
    expect(await readFile(path)).toEqual(await readFile(whole));
    await expect(run([...wholePeriod(), '--out', join(folder, 'not', 'there.jsonl')])).rejects.toThrow('ENOENT');
    expect((await readdir(folder)).filter((name) => name.includes('draft'))).toEqual([]);
  });

  test.each([
    [[], '--from must be a time'],
    [['--from', 'yesterday', '--to', '2026-01-01'], '--from must be a time'],
    [['--from', '2026-01-01T00:00:00', '--to', '2026-02-01'], '--from must be a time'],
    [['--from', '2026-02-01', '--to', '2026-01-01'], '--to must not be before --from'],
    [['--from', '2026-01-01', '--to', '2026-02-01', '--force=yes'], 'force'],
  ])('called with %j is refused', async (args, message) => {
    await expect(run(args)).rejects.toThrow(message);
  });

  test('of a manipulated audit log is detected by the verifier as by the control plane', async () => {
    await prisma().$transaction(async (tx) => {
      await tx.$executeRaw`SET LOCAL session_replication_role = replica`;
      await tx.$executeRaw`UPDATE audit_logs SET action = 'KILL_SWITCH' WHERE chain_position = 300`;
    });
    const path = join(folder, 'tampered.jsonl');
    await run([...wholePeriod(), '--out', path]);
    await prisma().$transaction(async (tx) => {
      await tx.$executeRaw`SET LOCAL session_replication_role = replica`;
      await tx.$executeRaw`UPDATE audit_logs SET action = 'UPDATE_FLAG' WHERE chain_position = 300`;
    });
    expect(await verify(path)).toMatchObject({
      code: 1,
      err: expect.stringContaining('Line 301: its hash is not that of its content'),
    });
  });
});

describe('the verifier', () => {
  const change = (position: number, over: Partial<Row>) => (lines: string[]) =>
    lines.with(position, canonicalJson({ ...rowOf(lines[position]), ...over }));
  const header = (over: object) => (lines: string[]) =>
    lines.with(0, canonicalJson({ ...(JSON.parse(lines[0]!) as object), ...over }));

  test.each<[string, (lines: string[]) => string[], string]>([
    ['a changed value', change(7, { afterValue: 1 }), 'Line 8: its hash is not that of its content'],
    ['a changed hash', change(7, { hash: 'a'.repeat(64) }), 'Line 8: its hash'],
    [
      'a value that was changed with its hash',
      (lines) => lines.with(7, canonicalJson(hashed({ ...rowOf(lines[7]), action: 'KILL_SWITCH' }))),
      'Line 9: it does not follow',
    ],
    [
      'the last value changed with its hash',
      (lines) => lines.with(-1, canonicalJson(hashed({ ...rowOf(lines.at(-1)), action: 'KILL_SWITCH' }))),
      `Line ${ENTRIES + 1}: its hash is not the last one`,
    ],
    ['a missing line', (lines) => lines.toSpliced(7, 1), 'Line 8: its position is 8 where 7 must come'],
    ['a line twice', (lines) => lines.toSpliced(7, 0, lines[7]!), 'Line 9: its position is 7 where 8 must come'],
    ['lines that changed places', (lines) => lines.with(7, lines[8]!).with(8, lines[7]!), 'Line 8: its position'],
    ['a cut end', (lines) => lines.slice(0, -5), `Line ${ENTRIES - 3}: the header says ${ENTRIES} entries`],
    ['a cut beginning', (lines) => lines.toSpliced(1, 5), 'Line 2: its position is 6'],
    ['one line too many', (lines) => [...lines, lines.at(-1)!], `Line ${ENTRIES + 2}: the header says`],
    [
      'a further member',
      (lines) => lines.with(7, lines[7]!.replace('{', '{"aNote":1,')),
      'Line 8: it does not have the members',
    ],
    [
      'a member twice',
      (lines) => lines.with(7, lines[7]!.replace('{"action":', '{"action":"X","action":')),
      'Line 8: it is not in canonical form',
    ],
    ['white space', (lines) => lines.with(7, ` ${lines[7]}`), 'Line 8: it is not in canonical form'],
    ['what is no JSON', (lines) => lines.with(7, 'no'), 'Line 8: it is not JSON'],
    [
      'what is nested too deeply',
      (lines) =>
        lines.with(
          7,
          lines[7]!.replace('"afterValue":{', `"afterValue":${'['.repeat(50_000)}${']'.repeat(50_000)},"x":{`),
        ),
      'Line 8: ',
    ],
    ['a period that its entries are not in', header({ to: '2001-01-01T00:00:00.000Z' }), 'Line 2: its time is outside'],
    ['a header that does not fit itself', header({ count: 3 }), 'Line 1: the header does not fit itself'],
    ['a format of a later release', header({ fleetflagAuditExport: 2 }), 'Line 1: its format'],
    ['nothing', () => [], 'Line 1: '],
  ])('refuses %s and names the line', async (_, tamper, message) => {
    const { code, out, err } = await verify(await fileOf(tamper(await linesOf(whole))));
    expect([code, out]).toEqual([1, '']);
    expect(err).toContain(message);
  });

  test('refuses a file that was cut within a line, or is not text', async () => {
    const lines = await linesOf(whole);
    expect(await verify(await fileOf(lines, ''))).toMatchObject({ code: 1, err: expect.stringContaining('cut off') });
    const binary = join(folder, 'binary');
    await writeFile(binary, Buffer.from([0xff, 0xfe, 0x0a]));
    expect(await verify(binary)).toMatchObject({ code: 1, err: expect.stringContaining('not UTF-8') });
  });

  test('requires a chain to contain a noted hash, which a rewritten chain does not', async () => {
    const { headHash } = await checkIntegrity(prisma(), { from: null, to: times[300]! });
    expect(await verify(whole, '--expect-head', headHash!)).toMatchObject({
      code: 0,
      out: expect.stringContaining('at position 300'),
    });

    // Everything from the tenth on is forged, with all hashes recomputed.
    const lines = await linesOf(whole);
    const forged = lines.slice(0, 1);
    let previousHash = '0'.repeat(64);
    for (const line of lines.slice(1)) {
      const row = hashed({ ...rowOf(line), previousHash, ...(forged.length === 10 && { action: 'KILL_SWITCH' }) });
      previousHash = row.hash;
      forged.push(canonicalJson(row));
    }
    const path = await fileOf(header({ lastHash: previousHash })(forged));
    expect(await verify(path)).toMatchObject({ code: 0 });
    expect(await verify(path, '--expect-head', headHash!)).toMatchObject({
      code: 1,
      err: expect.stringContaining('does not pass through'),
    });
  });

  test('reads any JSON as the control plane does', async () => {
    const rows: string[] = [];
    let previousHash = '0'.repeat(64);
    const value = fc.oneof(
      fc.jsonValue({ stringUnit: 'grapheme' }),
      fc.jsonValue({ stringUnit: 'binary' }),
      fc.double({ noNaN: true, noDefaultInfinity: true }),
      fc.dictionary(fc.string({ unit: 'binary' }), fc.integer()),
    );
    for (const [before, after] of fc.sample(fc.tuple(value, value), { numRuns: 300, seed: 20_261_124 })) {
      const content = {
        ...rowOf((await linesOf(whole))[1]),
        position: rows.length + 1,
        beforeValue: before as JsonValue,
        afterValue: after as JsonValue,
        previousHash,
      };
      const row = hashed(content);
      previousHash = row.hash;
      rows.push(canonicalJson(row));
    }
    const lines = header({ count: 300, lastPosition: 300, lastHash: previousHash })(await linesOf(whole)).slice(0, 1);
    expect(await verify(await fileOf([...lines, ...rows]))).toMatchObject({ code: 0, err: '' });
  });

  test.each([[[]], [['a', 'b']], [['FILE', '--expect-head', 'short']], [['--unknown']], [['not-there.jsonl']]])(
    'called with %j prints its usage, or reports that the file is missing',
    async (args) => {
      expect(await verify(...args)).toMatchObject({ code: 2, out: '', err: expect.stringMatching(/Usage|ENOENT/) });
    },
  );
});
