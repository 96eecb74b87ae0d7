/**
 * The stream of an environment's changes on this instance. It follows the revision in the database: announcements on
 * the bus make it read at once, and a poll every second covers lost announcements. Source: design.md, "Revisions: how
 * nothing is ever missed".
 */
import { EventEmitter, on } from 'node:events';
import type { Logger } from 'pino';
import { unattended } from '../../../core/async/unattended.ts';
import { ENVIRONMENTS, type Environment } from '../../../core/model.ts';
import { mapStream } from '../../shared/feeds/async-iteration.ts';
import type { Bus } from '../../shared/feeds/bus.ts';
import { CoalescedRefresh } from '../../../core/async/coalesce.ts';
import { Poller } from '../../../core/async/poller.ts';
import { FLAGS_CHANGED } from '../changes/change.ts';
import type { Flag } from '../flags/flag.ts';
import type { PositionSignatures } from '../signing/position-signatures.ts';
import type { EnvironmentSnapshots } from './snapshots.ts';
import type { Delta } from './sync-store.ts';

/** One change of an environment, as subscriptions deliver it. */
export interface FlagChangeEvent {
  readonly environment: Environment;
  readonly revision: number;
  /** The revision of the previous event. A receiver with another revision has missed something. */
  readonly previousRevision: number;
  readonly flag: Flag;
  readonly signed: Delta;
  readonly statement: string;
  /** The proof of the environment's content after the last event of the same read. */
  readonly proof: string;
}

/** The polling interval in milliseconds; the longest delay after a lost announcement. */
const POLL_INTERVAL = 1_000;

const CLOSED = 'closed';

/** Reads changes and delivers them to this instance's streams. */
export class FlagFeed {
  readonly #emitter = new EventEmitter().setMaxListeners(0);
  /** The revision up to which each environment's changes have been delivered. */
  readonly #sent = new Map<Environment, number>();
  readonly #refreshes = new CoalescedRefresh(() => this.#sendOrLog());
  readonly #poller = Poller.every(POLL_INTERVAL, () => this.refresh());
  #unsubscribe: (() => Promise<void>) | undefined;

  /** @param flagsByKey gives flags as of the snapshots' last read, or newer, archived ones too */
  constructor(
    private readonly flagsByKey: (keys: readonly string[]) => Promise<readonly Flag[]>,
    private readonly snapshots: EnvironmentSnapshots,
    private readonly signatures: PositionSignatures,
    private readonly bus: Bus,
    private readonly logger: Logger,
  ) {}

  /** Starts at the environments' current revisions. */
  async start(): Promise<void> {
    for (const [environment, { revision }] of await this.snapshots.refresh()) this.#sent.set(environment, revision);
    this.#unsubscribe = await this.bus.subscribe(FLAGS_CHANGED, () =>
      unattended(this.refresh(), 'Polling for changes'),
    );
    unattended(this.#poller.start(POLL_INTERVAL), 'Polling for changes');
  }

  /** Ends every stream and stops polling. */
  async close(): Promise<void> {
    const polled = this.#poller.close();
    this.#emitter.emit(CLOSED);
    await this.#unsubscribe?.();
    await polled;
    await this.#refreshes.close();
  }

  /** Streams every change of `environment` after this call, in revision order. Ends when the feed closes. */
  changes(environment: Environment): AsyncIterableIterator<FlagChangeEvent> {
    // Listens from here on and not from the first next(), so that the stream misses nothing between the two.
    // eslint-disable-next-line @typescript-eslint/consistent-type-assertions -- on() does not say what an emitter emits
    const events = on(this.#emitter, environment, { close: [CLOSED] }) as AsyncIterator<[FlagChangeEvent]>;
    return mapStream(events, ([event]) => event);
  }

  /** Delivers what has changed since the last read. Calls during a read share one more read after it. */
  refresh(): Promise<void> {
    return this.#refreshes.refresh();
  }

  async #sendOrLog(): Promise<void> {
    try {
      await this.#sendChanges();
    } catch (error) {
      // The next poll reads again. Nothing is lost, because events are read from the database.
      this.logger.warn(
        { err: error },
        'Cannot read changes of flags; vehicles get them when the next attempt succeeds',
      );
    }
  }

  async #sendChanges(): Promise<void> {
    const present = await this.snapshots.refresh();
    for (const environment of ENVIRONMENTS) {
      const sent = this.#sent.get(environment) ?? 0;
      const revision = present.get(environment)?.revision ?? 0;
      // A lower revision means that the database was restored from a backup. The feed follows it; vehicles refuse it
      // and report.
      if (revision < sent) this.#sent.set(environment, revision);
      else if (revision > sent && this.#emitter.listenerCount(environment) === 0) this.#sent.set(environment, revision);
      else if (revision > sent) await this.#send(environment, sent);
    }
  }

  async #send(environment: Environment, since: number): Promise<void> {
    // Includes tombstones from revision 0 on: a vehicle's sync may have given it flags that left before this read.
    const { deltas, ...standing } = await this.snapshots.known(environment, since, true);
    const proof = await this.signatures.proof(standing);
    const flags = new Map((await this.flagsByKey(deltas.map(({ key }) => key))).map((flag) => [flag.key, flag]));
    let previousRevision = since;
    for (const signed of deltas) {
      const flag = flags.get(signed.key);
      if (flag === undefined) throw new Error(`Flag ${signed.key} of a change no longer exists`);
      const { revision } = signed;
      const statement = await this.signatures.statement(environment, revision, standing.verifiedAt);
      this.#emitter.emit(environment, {
        environment,
        revision,
        previousRevision,
        flag,
        signed,
        statement,
        proof,
      } satisfies FlagChangeEvent);
      previousRevision = revision;
      this.#sent.set(environment, revision);
    }
  }
}
