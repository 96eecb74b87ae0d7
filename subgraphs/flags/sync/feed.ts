/**
 * The stream of an environment's changes on this instance. It follows the revision in the database: announcements on
 * the bus make it read at once, and a poll every second covers lost announcements. Source: design.md, "Revisions: how
 * nothing is ever missed".
 */
import { EventEmitter, on } from 'node:events';
import type { Logger } from 'pino';
import { unattended } from '../../../core/last-handler/unattended.ts';
import { isKilled } from '../../../core/evaluation/rules/kill-switch.ts';
import { ENVIRONMENTS, type Environment } from '../../../core/model.ts';
import { mapStream } from '../../shared/feeds/async-iteration.ts';
import type { Bus } from '../../shared/feeds/bus.ts';
import { PolledRefresh } from '../../../core/async/polled-refresh.ts';
import { FLAGS_CHANGED, announcesKill } from '../changes/announcement.ts';
import type { Flag } from '../flags/flag.ts';
import type { PositionSignatures } from '../signing/position-signatures.ts';
import { PacedLooks } from './paced-looks.ts';
import { viewOf } from './snapshots/snapshot.ts';
import { positionIn, type EnvironmentSnapshots, type VerifiedSnapshot } from './snapshots/snapshots.ts';
import type { Delta } from './sync-store.ts';

/** One change of a partition, as subscriptions deliver it. */
export interface FlagChangeEvent {
  readonly environment: Environment;
  readonly revision: number;
  /**
   * The last revision before it that concerned the receivers' partition. A receiver that is below it has missed
   * something.
   */
  readonly previousRevision: number;
  readonly flag: Flag;
  readonly signed: Delta;
  /** Whether it holds a flag that was not held by the events before. */
  readonly isKill: boolean;
  /** Milliseconds since 1970 of the newest change that was read with it. */
  readonly changedAtMs: number;
  /** The seconds over which receivers spread their sync, where changes are fetched instead of sent; else null. */
  readonly spreadSeconds: number | null;
  statement(): Promise<string>;
  /** Signs the proof of the partition's content after the last event of the same read. */
  proof(partitioned?: boolean): Promise<string>;
}

/** The polling interval in milliseconds; the longest delay after a lost announcement. */
const POLL_INTERVAL_MS = 1_000;

/** The least milliseconds between two looks that announcements ask for; a kill switch waits for none. */
const PACE_MS = 100;

/** The most bytes of signed entries that one look sends to a partition; of more, its vehicles fetch what they lack. */
const MAX_PUSHED_BYTES = 262_144;

/** The seconds over which vehicles spread such syncs. */
const SPREAD_SECONDS = 30;

const CLOSED = 'closed';

/** The streams of one partition; null is the whole environment. */
interface Channel {
  readonly name: string;
  readonly environment: Environment;
  readonly partition: string | null;
  /** The revision of the last event; null before the first. */
  last: number | null;
}

/** Reads changes and delivers them to this instance's streams. */
export class FlagFeed {
  readonly #emitter = new EventEmitter().setMaxListeners(0);
  /** The revision up to which each environment's changes have been delivered. */
  readonly #sent = new Map<Environment, number>();
  /** The channels that anybody has listened to, by name. */
  readonly #channels = new Map<string, Channel>();
  /** Keys of the flags that the last event of each holds, by environment: vehicles of another have not heard of it. */
  readonly #held = new Map(ENVIRONMENTS.map((environment) => [environment, new Set<string>()]));
  readonly #polled = new PolledRefresh({
    refresh: () => this.#sendChanges(),
    intervalMs: POLL_INTERVAL_MS,
    failed: (err) =>
      this.logger.warn({ err }, 'Cannot read changes of flags; vehicles get them when the next attempt succeeds'),
  });
  readonly #looks = new PacedLooks(() => unattended(this.refresh(), 'Reading changes of flags'), PACE_MS);
  #unsubscribe: (() => Promise<void>) | undefined;

  /**
   * @param flagsByKey gives flags as of the snapshots' last read, or newer, archived ones too
   * @param noted called when changes have been read, with the milliseconds since 1970 of the newest of them
   */
  constructor(
    private readonly flagsByKey: (keys: readonly string[]) => Promise<readonly Flag[]>,
    private readonly snapshots: EnvironmentSnapshots,
    private readonly signatures: PositionSignatures,
    private readonly bus: Bus,
    private readonly logger: Logger,
    private readonly noted: (changedAtMs: number) => void = () => undefined,
  ) {}

  /** Starts at the environments' current revisions. */
  async start(): Promise<void> {
    for (const [environment, { revision }] of await this.snapshots.refresh()) this.#sent.set(environment, revision);
    this.#unsubscribe = await this.bus.subscribe(FLAGS_CHANGED, (message) =>
      announcesKill(message) ? this.#looks.atOnce() : this.#looks.soon(),
    );
    unattended(this.#polled.start(POLL_INTERVAL_MS), 'Polling for changes');
  }

  /** Ends every stream and stops polling. */
  async close(): Promise<void> {
    const polled = this.#polled.stop();
    this.#emitter.emit(CLOSED);
    await this.#unsubscribe?.();
    this.#looks.close();
    await polled;
    await this.#polled.close();
  }

  /**
   * Streams every change of a partition (null: of the whole environment) after this call, in revision order. Ends when
   * the feed closes.
   */
  changes(environment: Environment, partition: string | null): AsyncIterableIterator<FlagChangeEvent> {
    const name = JSON.stringify([environment, partition]);
    if (!this.#channels.has(name)) this.#channels.set(name, { name, environment, partition, last: null });
    this.snapshots.want(environment);
    // Listens from here on and not from the first next(), so that the stream misses nothing between the two.
    // oxlint-disable-next-line typescript/consistent-type-assertions -- on() does not say what an emitter emits
    const events = on(this.#emitter, name, { close: [CLOSED] }) as AsyncIterator<[FlagChangeEvent]>;
    return mapStream(events, ([event]) => event);
  }

  /**
   * Delivers what has changed since the last read. Calls during a read share one more read after it. Never rejects: the
   * next poll reads again, and nothing is lost, because events are read from the database.
   */
  refresh(): Promise<void> {
    return this.#polled.attempt();
  }

  async #sendChanges(): Promise<void> {
    const present = await this.snapshots.refresh();
    for (const environment of ENVIRONMENTS) {
      const sent = this.#sent.get(environment) ?? 0;
      const { revision, changedAtMs } = present.get(environment) ?? { revision: 0, changedAtMs: 0 };
      // A lower revision means that the database was restored from a backup. The feed follows it; vehicles refuse it
      // and report.
      if (revision < sent || (revision > sent && this.#listening(environment).length === 0)) {
        this.#sent.set(environment, revision);
        // No event was read meanwhile, so it is unknown which flags are still held, and what streams have had.
        this.#held.get(environment)?.clear();
        for (const channel of this.#channels.values()) if (channel.environment === environment) channel.last = null;
      } else if (revision > sent) await this.#send(environment, sent, changedAtMs);
    }
  }

  /** Gives the channels of `environment` that somebody listens to, and drops the others. */
  #listening(environment: Environment): Channel[] {
    for (const { name } of this.#channels.values())
      if (this.#emitter.listenerCount(name) === 0) this.#channels.delete(name);
    return [...this.#channels.values()].filter((channel) => channel.environment === environment);
  }

  #isKill(place: Environment, { key, rules, environment }: Flag): boolean {
    const held = this.#held.get(place) ?? new Set();
    // A flag that has left the environment is not held there.
    if (environment !== place || !isKilled(rules)) {
      held.delete(key);
      return false;
    }
    const isNew = !held.has(key);
    held.add(key);
    return isNew;
  }

  async #send(environment: Environment, since: number, changedAtMs: number): Promise<void> {
    const held = await this.snapshots.current(environment);
    this.noted(changedAtMs);
    const { definitions, tombstones, position } = held.snapshot;
    const changed = new Set([definitions, tombstones].flatMap((entries) => entries.after(since).map(({ key }) => key)));
    const flags = new Map((await this.flagsByKey([...changed])).map((flag) => [flag.key, flag]));
    const kills = new Set(
      Array.from(changed, (key) => found(flags, key)).flatMap((flag) =>
        this.#isKill(environment, flag) ? [flag.key] : [],
      ),
    );
    for (const channel of this.#listening(environment)) {
      const events = this.#eventsOf(channel, held, since, flags);
      for (const event of events)
        this.#emitter.emit(channel.name, {
          ...event,
          isKill: kills.has(event.flag.key),
          changedAtMs,
        } satisfies FlagChangeEvent);
      channel.last = events.at(-1)?.revision ?? channel.last;
    }
    this.#sent.set(environment, position.revision);
  }

  /** Gives the events of a partition after `since`, in the order of their revisions; none where nothing concerns it. */
  #eventsOf(
    { environment, partition, last }: Channel,
    held: VerifiedSnapshot,
    since: number,
    flags: ReadonlyMap<string, Flag>,
  ): Omit<FlagChangeEvent, 'isKill' | 'changedAtMs'>[] {
    // Includes tombstones from revision 0 on: a vehicle's sync may have given it flags that left before this read.
    const { entries } = viewOf(held.snapshot, partition);
    const changes = entries.after(since);
    const newest = changes.at(-1)?.revision;
    if (newest === undefined) return [];
    const position = positionIn(held, partition);
    // An agent older than partitions applies a change when it stands at the proof's revision. The last revision of this
    // partition is as true as the environment's, because no later change concerns the vehicle.
    const own = partition === null ? position : { ...position, revision: newest };
    const { signatures } = this;
    const isPushed = changes.length === 1 || bytesOf(changes) <= MAX_PUSHED_BYTES;
    const announced = isPushed ? changes : announcedOf(changes, flags);
    // Without a predecessor the stream begins at the last change before this look.
    let previousRevision = partition === null ? since : (last ?? entries.lastUpTo(since)?.revision ?? 0);
    return changes.flatMap((signed) => {
      const event = {
        environment,
        revision: signed.revision,
        previousRevision,
        flag: found(flags, signed.key),
        signed,
        spreadSeconds: isPushed ? null : SPREAD_SECONDS,
        statement: () => signatures.statement(environment, signed.revision, position.verifiedAt),
        proof: (partitioned = false) => signatures.proof(partitioned ? position : own, partitioned),
      };
      previousRevision = signed.revision;
      return announced.includes(signed) ? [event] : [];
    });
  }
}

const bytesOf = (entries: readonly Delta[]) => entries.reduce((sum, { jws }) => sum + jws.length, 0);

/**
 * Gives the events of a look that is too large to be sent: the last one, whose predecessor no receiver has, so that all
 * fetch what they lack; and before it what stops flags, which takes effect by itself.
 */
function announcedOf(changes: readonly Delta[], flags: ReadonlyMap<string, Flag>): Delta[] {
  const isStop = ({ key, removed }: Delta) => {
    const flag = flags.get(key);
    return !removed && flag !== undefined && (!flag.enabled || isKilled(flag.rules));
  };
  const [stops, last] = [changes.slice(0, -1).filter(isStop), changes.slice(-1)];
  return bytesOf(stops) <= MAX_PUSHED_BYTES ? [...stops, ...last] : last;
}

function found(flags: ReadonlyMap<string, Flag>, key: string): Flag {
  const flag = flags.get(key);
  if (flag === undefined) throw new Error(`Flag ${key} of a change no longer exists`);
  return flag;
}
