/**
 * Stores what a drive holds as one row of `agent_state`: the active definitions of flags whose changes wait, in signed
 * form, and the facts, the nonce and the stale flags of the drive. A vehicle that nobody reports to be in a drive, and
 * that has changed over completely, has no such row.
 */
import { createHash } from 'node:crypto';
import type { Database } from 'sql.js';
import { membersOf, parseJson } from '../../../core/json/json-value.ts';
import { DEFAULT_TTL_SECONDS } from '../../../core/wire/vehicle/definition.ts';
import type { Environment } from '../../../core/model.ts';
import { readKeptDrive, type KeptDrive } from '../../activation/kept-drive.ts';
import { NO_LATCHES, type HeldFlag, type Latches } from '../../state.ts';
import type { PinnedKeys } from '../../trust/pinned-keys.ts';
import { Refusal } from '../../trust/refusals.ts';
import { metadataOf, readSignedFlag } from './flag-rows.ts';
import { putStateValue } from './state-value.ts';

/** The key of the row in `agent_state`. */
const STATE_KEY = 'activation';

/**
 * The most bytes of active definitions beside those that are held, so that the file stays below 2 MB. The largest ones
 * beyond that are not stored: after a restart in mid-drive their flags have their held definitions.
 */
const MAX_LATCHED_BYTES = 600_000;

/** The content of the row. */
export interface StoredActivation {
  readonly drive: KeptDrive | null;
  readonly latches: Latches;
}

/** The age of a latched flag, which is that of the flags that the vehicle holds. */
const NO_AGE = { cachedAt: 0, ttlSeconds: DEFAULT_TTL_SECONDS };

const NOTHING: StoredActivation = { drive: null, latches: NO_LATCHES };

const digestOf = (content: string) => createHash('sha256').update(content).digest('base64url');

/**
 * Gives the latches as they are stored, and the keys of those for which there is no room.
 *
 * @param limit the most bytes
 */
export function storedLatches(
  latches: Latches,
  limit = MAX_LATCHED_BYTES,
): { readonly stored: Readonly<Record<string, unknown>>; readonly dropped: readonly string[] } {
  const texts = Array.from(latches, ([key, flag]) => {
    const metadata = flag && metadataOf(flag);
    return { key, metadata, bytes: key.length + JSON.stringify(metadata).length };
  }).sort((a, b) => a.bytes - b.bytes);
  let size = 0;
  const fits = texts.map(({ bytes }) => (size += bytes) <= limit);
  const stored = texts.filter((_, index) => fits[index]).map(({ key, metadata }) => [key, metadata] as const);
  return { stored: Object.fromEntries(stored), dropped: texts.flatMap(({ key }, index) => (fits[index] ? [] : [key])) };
}

/**
 * Writes the row, or removes it where there is nothing to keep.
 *
 * @param now Unix seconds
 */
export function writeActivation(database: Database, { drive, latches }: StoredActivation, now: number): void {
  if (latches.size === 0 && drive?.drive.isReported !== true) {
    database.run('DELETE FROM agent_state WHERE key = ?', [STATE_KEY]);
    return;
  }
  const content = JSON.stringify({ drive, latches: storedLatches(latches).stored });
  putStateValue(database, STATE_KEY, JSON.stringify({ content, digest: digestOf(content) }), now);
}

/**
 * Reads the row. What does not verify is left out and passed to `refuse`; its flag then has its held definition.
 */
export async function readActivation(
  database: Database,
  environment: Environment,
  keys: PinnedKeys,
  refuse: (refusal: Refusal) => void,
): Promise<StoredActivation> {
  const text = database.exec('SELECT value FROM agent_state WHERE key = ?', [STATE_KEY])[0]?.values[0]?.[0];
  if (typeof text !== 'string') return NOTHING;
  let kept;
  try {
    const { content, digest } = membersOf(parseJson(text));
    if (typeof content !== 'string' || digest !== digestOf(content)) throw new Error('it is damaged');
    kept = membersOf(parseJson(content));
  } catch (cause) {
    refuse(new Refusal('stored-flag', 'the stored drive', { cause }));
    return NOTHING;
  }
  const latches = new Map<string, HeldFlag | null>();
  for (const [key, stored] of Object.entries(membersOf(kept.latches))) {
    try {
      latches.set(
        key,
        stored === null ? null : (await readSignedFlag({ key, metadata: stored, ...NO_AGE }, environment, keys)).flag,
      );
    } catch (cause) {
      refuse(new Refusal('stored-flag', `the active definition of flag ${JSON.stringify(key)}`, { cause }));
    }
  }
  return { drive: readKeptDrive(kept.drive), latches };
}
