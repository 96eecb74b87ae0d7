/**
 * Verifies a file of `audit-export` on any machine: this file and Node 18 or newer are all it needs.
 *
 *   node verify-audit-export.mjs FILE [--expect-head HASH]
 *
 * FILE `-` is the standard input. HASH is one that was noted before (`headHash` of auditIntegrity): the chain must pass
 * through it. Exit codes: 0 intact, 1 not (the first broken line is named), 2 wrong usage or no such file.
 *
 * It shares no code with FleetFlag on purpose: an auditor can read all of it, and need not trust FleetFlag's code.
 */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { parseArgs } from 'node:util';

const USAGE = 'Usage: node verify-audit-export.mjs FILE [--expect-head HASH]';
const MAX_LINE = 64 * 1024 * 1024;
const HASH = /^[0-9a-f]{64}$/;
const HEADER = [
  'count',
  'firstPosition',
  'fleetflagAuditExport',
  'from',
  'lastHash',
  'lastPosition',
  'previousHash',
  'to',
];
const CONTENT = [
  'action',
  'afterValue',
  'apiKeyId',
  'beforeValue',
  'createdAt',
  'flagId',
  'id',
  'ipAddress',
  'position',
  'requestId',
  'userAgent',
  'userId',
];
const ROW = [...CONTENT, 'hash', 'previousHash'].sort();

class Broken extends Error {}

/**
 * Gives canonical JSON (RFC 8785): members ordered by UTF-16 code units, numbers and strings as ECMAScript writes them,
 * no white space.
 */
function canonical(value) {
  if (Array.isArray(value)) return `[${value.map(canonical).join(',')}]`;
  if (typeof value === 'object' && value !== null) {
    return `{${Object.keys(value)
      .sort()
      .map((key) => `${JSON.stringify(key)}:${canonical(value[key])}`)
      .join(',')}}`;
  }
  if (typeof value === 'number' && !Number.isFinite(value)) throw new Broken('a number that JSON cannot carry');
  return JSON.stringify(value);
}

async function* linesOf(stream) {
  const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
  let rest = '';
  for await (const chunk of stream) {
    const parts = (rest + decoder.decode(chunk, { stream: true })).split('\n');
    rest = parts.pop() ?? '';
    yield* parts;
    if (rest.length > MAX_LINE) throw new Broken('the line is too long');
  }
  rest += decoder.decode();
  if (rest !== '') throw new Broken('the line has no end: the file was cut off');
}

/** Parses a line, which must be in canonical form. */
function parseLine(line, members) {
  let value;
  try {
    value = JSON.parse(line);
  } catch {
    throw new Broken('it is not JSON');
  }
  if (
    typeof value !== 'object' ||
    value === null ||
    Array.isArray(value) ||
    Object.keys(value).sort().join() !== members.join()
  ) {
    throw new Broken(`it does not have the members ${members.join(', ')}`);
  }
  // Other parsers could read a line that is not canonical in another way, for example one with a duplicate member.
  if (canonical(value) !== line) throw new Broken('it is not in canonical form');
  return value;
}

function checkHeader(header) {
  if (header.fleetflagAuditExport !== 1)
    throw new Broken('its format is not known to this program: take the one of the same release');
  const empty = header.count === 0;
  const fits = empty
    ? [header.firstPosition, header.lastPosition, header.previousHash, header.lastHash].every((value) => value === null)
    : Number.isSafeInteger(header.firstPosition) &&
      header.firstPosition > 0 &&
      header.lastPosition - header.firstPosition + 1 === header.count &&
      HASH.test(header.previousHash) &&
      HASH.test(header.lastHash);
  if (!fits || Number.isNaN(Date.parse(header.from)) || Number.isNaN(Date.parse(header.to)))
    throw new Broken('the header does not fit itself: positions, count and hashes');
  return header;
}

function checkRow(row, header, expected) {
  const { hash, previousHash, ...content } = row;
  if (row.position !== expected.position)
    throw new Broken(`its position is ${row.position} where ${expected.position} must come`);
  if (previousHash !== expected.hash)
    throw new Broken('it does not follow the line before it: previousHash is not the hash there');
  const computed = createHash('sha256')
    .update(`${previousHash}\n${canonical(content)}`)
    .digest('hex');
  if (computed !== hash) throw new Broken('its hash is not that of its content');
  const time = Date.parse(row.createdAt);
  if (!(time >= Date.parse(header.from) && time < Date.parse(header.to)))
    throw new Broken('its time is outside of the period of the header');
}

async function verify(stream, expectedHead) {
  let number = 1;
  let header = null;
  let expected = { position: 0, hash: '' };
  let passed = null;
  try {
    for await (const line of linesOf(stream)) {
      if (header === null) {
        header = checkHeader(parseLine(line, HEADER));
        expected = { position: header.firstPosition, hash: header.previousHash };
        if (expectedHead !== undefined && header.previousHash === expectedHead) passed = header.firstPosition - 1;
      } else {
        if (number - 1 > header.count)
          throw new Broken(`the header says ${header.count} entries, and this is one more`);
        const row = parseLine(line, ROW);
        checkRow(row, header, expected);
        expected = { position: row.position + 1, hash: row.hash };
        if (row.hash === expectedHead) passed = row.position;
      }
      number += 1;
    }
    if (header === null) throw new Broken('the file is empty');
    if (number - 2 !== header.count)
      throw new Broken(`the header says ${header.count} entries, and the file ends before this line`);
    if (header.count > 0 && expected.hash !== header.lastHash) {
      number -= 1;
      throw new Broken('its hash is not the last one that the header names');
    }
  } catch (error) {
    if (error.syscall !== undefined) throw error;
    const reason =
      error instanceof Broken
        ? error.message
        : error instanceof RangeError
          ? 'it is nested too deeply'
          : 'it is not UTF-8 text';
    console.error(`NOT INTACT. Line ${number}: ${reason}.`);
    return 1;
  }
  if (expectedHead !== undefined && passed === null) {
    console.error(
      `NOT INTACT. The chain is whole, but it does not pass through ${expectedHead}: it was written anew, or the hash is of another time.`,
    );
    return 1;
  }
  const { count, firstPosition, lastPosition, previousHash, lastHash, from, to } = header;
  console.log(`Intact: ${count} entries from ${from} to ${to}.`);
  if (count > 0)
    console.log(`Positions ${firstPosition} to ${lastPosition}.\nAfter hash ${previousHash}\nLast hash  ${lastHash}`);
  if (passed !== null) console.log(`Passes through the expected hash at position ${passed}.`);
  return 0;
}

let options;
try {
  options = parseArgs({ allowPositionals: true, options: { 'expect-head': { type: 'string' } } });
} catch (error) {
  console.error(`${error.message}\n${USAGE}`);
  process.exit(2);
}
const { positionals, values } = options;
const expectedHead = values['expect-head'];
if (positionals.length !== 1 || (expectedHead !== undefined && !HASH.test(expectedHead))) {
  console.error(`${USAGE}\nHASH is 64 hexadecimal digits.`);
  process.exit(2);
}
try {
  process.exitCode = await verify(
    positionals[0] === '-' ? process.stdin : createReadStream(positionals[0]),
    expectedHead,
  );
} catch (error) {
  console.error(error.message);
  process.exitCode = 2;
}
