/**
 * Stores the standings of flags, their last known goods in signed form, and the returns to them as one row of
 * `agent_state`. A last known good that the vehicle holds as well is not stored twice.
 */
import { createHash } from 'node:crypto';
import type { Database } from 'sql.js';
import { isCount, isOneOf, membersOf, parseJson } from '../../../core/json/json-value.ts';
import type { Environment } from '../../../core/model.ts';
import { DEFAULT_TTL_SECONDS } from '../../../core/wire/vehicle/definition.ts';
import type { FlagStanding, KnownGoodCopy } from '../../activation/known-good.ts';
import { NO_RETURNS, RETURN_CAUSES, type GoodReturn, type GoodReturns, type HeldFlag } from '../../state.ts';
import type { VehicleState } from '../../state.ts';
import type { PinnedKeys } from '../../trust/pinned-keys.ts';
import { Refusal } from '../../trust/refusals.ts';
import { metadataOf, readSignedFlag } from './flag-rows.ts';
import { putStateValue } from './state-value.ts';

/** The key of the row in `agent_state`. */
const STATE_KEY = 'last_known_good';

/** The most bytes of all last known goods, returns and standings. */
const MAX_KNOWN_GOOD_BYTES = 200_000;

/** The content of the row. */
export interface StoredKnownGood {
  readonly knownGood: KnownGoodCopy;
  readonly returns: GoodReturns;
}

const NOTHING: StoredKnownGood = { knownGood: { standings: new Map(), isDriven: false }, returns: NO_RETURNS };

const digestOf = (content: string) => createHash('sha256').update(content).digest('base64url');

/**
 * Gives the standings as they are stored, and the keys of those last known goods for which there is no room: the
 * largest ones.
 *
 * @param limit the most bytes
 */
export function storedKnownGood(
  { standings, isDriven }: KnownGoodCopy,
  { flags, returns }: Pick<VehicleState, 'flags' | 'returns'>,
  limit = MAX_KNOWN_GOOD_BYTES,
): { readonly stored: Readonly<Record<string, unknown>>; readonly dropped: readonly string[] } {
  const gone = storedReturns(returns);
  const texts = Array.from(standings, ([key, { content, servedSeconds, isWhole, good }]) => {
    const trial = { content, servedSeconds: Math.max(0, Math.floor(servedSeconds)), isWhole };
    const kept = good && storedGood(good, flags.get(key));
    return { key, trial, kept, bytes: JSON.stringify([key, trial, kept]).length };
  }).sort((a, b) => a.bytes - b.bytes);
  let size = JSON.stringify(gone).length;
  const written = texts.map(({ key, trial, kept, bytes }) => {
    const fits = size + bytes <= limit;
    if (fits) size += bytes;
    return { key, isDropped: !fits && kept !== null, entry: fits ? ([key, { ...trial, good: kept }] as const) : null };
  });
  return {
    stored: {
      isDriven,
      returns: Object.fromEntries(gone),
      standings: Object.fromEntries(written.flatMap(({ entry }) => (entry === null ? [] : [entry]))),
    },
    dropped: written.flatMap(({ key, isDropped }) => (isDropped ? [key] : [])),
  };
}

/** Says whether there is room on disk for all of these returns. */
export function haveRoom(returns: GoodReturns, limit = MAX_KNOWN_GOOD_BYTES): boolean {
  return JSON.stringify(storedReturns(returns)).length <= limit;
}

function storedReturns(returns: GoodReturns) {
  return Array.from(returns, ([key, { flag, content, cause, at }]) => {
    return [key, { content, cause, at, flag: metadataOf(flag) }] as const;
  });
}

/** Gives a last known good as it is stored: only its content where it is the definition that the vehicle holds. */
function storedGood({ content, kept }: NonNullable<FlagStanding['good']>, held: HeldFlag | undefined) {
  if (held?.served != null && held.served.id === kept.served?.id) return { content };
  return { content, cachedAt: kept.cachedAt, flag: metadataOf(kept) };
}

/**
 * Writes the row, or removes it where there is nothing to keep.
 *
 * @param now Unix seconds
 */
export function writeKnownGood(database: Database, knownGood: KnownGoodCopy, state: VehicleState, now: number): void {
  if (knownGood.standings.size === 0 && state.returns.size === 0) {
    database.run('DELETE FROM agent_state WHERE key = ?', [STATE_KEY]);
    return;
  }
  const content = JSON.stringify(storedKnownGood(knownGood, state).stored);
  putStateValue(database, STATE_KEY, JSON.stringify({ content, digest: digestOf(content) }), now);
}

/**
 * Reads the row. What does not verify is left out and passed to `refuse`.
 *
 * @param held the flags that the vehicle holds, and the Unix seconds of the stored proof: no last known good can be
 *   younger
 */
export async function readKnownGood(
  database: Database,
  held: { readonly flags: ReadonlyMap<string, HeldFlag>; readonly issuedAt: number },
  environment: Environment,
  keys: PinnedKeys,
  refuse: (refusal: Refusal) => void,
): Promise<StoredKnownGood> {
  const text = database.exec('SELECT value FROM agent_state WHERE key = ?', [STATE_KEY])[0]?.values[0]?.[0];
  if (typeof text !== 'string') return NOTHING;
  let stored;
  try {
    const { content, digest } = membersOf(parseJson(text));
    if (typeof content !== 'string' || digest !== digestOf(content)) throw new Error('it is damaged');
    stored = membersOf(parseJson(content));
  } catch (cause) {
    refuse(new Refusal('stored-flag', 'the stored last known goods', { cause }));
    return NOTHING;
  }
  const signed = async (key: string, metadata: unknown, cachedAt: number) => {
    const age = { cachedAt: Math.min(cachedAt, held.issuedAt), ttlSeconds: DEFAULT_TTL_SECONDS };
    return (await readSignedFlag({ key, metadata, ...age }, environment, keys)).flag;
  };
  const standings = new Map<string, FlagStanding>();
  const returns = new Map<string, GoodReturn>();
  const each = async (members: unknown, read: (key: string, value: unknown) => Promise<void>) => {
    for (const [key, value] of Object.entries(membersOf(members)))
      await read(key, value).catch((cause: unknown) =>
        refuse(new Refusal('stored-flag', `the last known good of flag ${JSON.stringify(key)}`, { cause })),
      );
  };
  await each(stored.standings, async (key, value) => {
    const { content, servedSeconds, isWhole, good } = membersOf(value);
    if (typeof content !== 'string' || !isCount(servedSeconds) || typeof isWhole !== 'boolean')
      throw new Error('it does not have the expected form');
    const kept = good === null ? null : await readGood(key, membersOf(good));
    standings.set(key, { content, servedSeconds, isWhole, good: kept });
  });
  await each(stored.returns, async (key, value) => {
    const { content, cause, at, flag } = membersOf(value);
    if (typeof content !== 'string' || !isOneOf(RETURN_CAUSES, cause) || !isCount(at))
      throw new Error('it does not have the expected form');
    returns.set(key, { content, cause, at, flag: await signed(key, flag, 0) });
  });
  return { knownGood: { standings, isDriven: stored.isDriven === true }, returns };

  async function readGood(key: string, { content, cachedAt, flag }: Readonly<Record<string, unknown>>) {
    if (typeof content !== 'string') throw new Error('it does not have the expected form');
    const own = held.flags.get(key);
    if (flag === undefined) return own === undefined ? null : { content, kept: own };
    if (!isCount(cachedAt)) throw new Error('its age is not a number');
    return { content, kept: await signed(key, flag, cachedAt) };
  }
}
