/**
 * Keeps a vehicle's state up to date over one link: subscribes first, then asks for what it missed, and applies
 * both in revision order, so that no change can fall between.
 */
import { unattended } from '../../core/async/unattended.ts';
import { describeError, type Log } from '../log.ts';
import type { VehicleState, VerifiedStatement } from '../state.ts';
import type { PinnedKeys } from '../trust/pinned-keys.ts';
import { Refusal } from '../trust/refusals.ts';
import { verifyFlag, verifyStatement, type VerifiedFlag } from '../trust/verification.ts';
import { applyChange, applySync, statementFault } from './apply.ts';
import type { Backoff } from './backoff.ts';
import type { GatewayLink } from './gateway-link.ts';
import { CHANGES_SUBSCRIPTION, SYNC_QUERY, environmentVariable, readChangeEvent, readSyncAnswer, type ChangeEvent, type SignedFlag } from './operations.ts';

/** More waiting changes than this are dropped: one sync replaces them all. */
const MAX_WAITING_CHANGES = 1000;

export interface SyncSessionOptions {
  readonly link: Pick<GatewayLink, 'subscribe' | 'request' | 'ended'>;
  readonly keys: PinnedKeys;
  readonly log: Log;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  readonly state: () => VehicleState;
  /** Persists a state and evaluates from it; resolves when both are done. */
  readonly commit: (next: VehicleState) => Promise<void>;
  readonly refuse: (refusal: Refusal) => void;
  /** Called after each sync that was applied. */
  readonly synced: () => void;
  /** Milliseconds until the next sync of an idle connection; asked anew each time. */
  readonly resyncDelay: () => number;
  /** Waits after a sync that failed or left something open. */
  readonly backoff: Backoff;
}

export class SyncSession {
  readonly #options: SyncSessionOptions;
  #waiting: ChangeEvent[] = [];
  #syncDue = true;
  /** Set while a sync has left something open: gaps then wait for the retry instead of asking at every change. */
  #retrying = false;
  #retryScheduled = false;
  #ended = false;
  #timer: NodeJS.Timeout | undefined;
  #wake: () => void = () => undefined;

  constructor(options: SyncSessionOptions) {
    this.#options = options;
  }

  /** Runs until the link ends. */
  async run(): Promise<void> {
    const { link } = this.#options;
    const over = link.ended.then(() => {
      this.#ended = true;
      this.#wake();
    });
    unattended(over, 'Ending a session');
    const environment = this.#options.state().identity.environment;
    link.subscribe(CHANGES_SUBSCRIPTION, { environment: environmentVariable(environment) }, (result) => {
      try {
        if (result.errors !== undefined) throw new Refusal('malformed', 'change', { cause: new Error(result.errors[0]?.message) });
        this.#waiting.push(readChangeEvent(result.data, environment));
        if (this.#waiting.length > MAX_WAITING_CHANGES) {
          this.#waiting = [];
          this.#syncDue = true;
        }
      } catch (error) {
        this.#options.refuse(error as Refusal);
        this.#syncDue = true;
      }
      this.#wake();
    });
    while (!this.#ended) {
      const woken = new Promise<void>((resolve) => (this.#wake = resolve));
      if (this.#syncDue) await this.#sync();
      else await this.#applyWaiting();
      if (!this.#ended && !this.#syncDue && this.#waiting.length === 0) await woken;
    }
    clearTimeout(this.#timer);
  }

  async #sync(): Promise<void> {
    const { link, log } = this.#options;
    this.#syncDue = false;
    const before = this.#options.state();
    const { environment } = before.identity;
    const since = before.complete ? before.revision : 0;
    try {
      const answer = readSyncAnswer(await link.request(SYNC_QUERY, { environment: environmentVariable(environment), since }), environment);
      if (answer.revision < before.revision) throw new Refusal('revision-below-own', `sync at revision ${answer.revision}`);
      const statement = await this.#statement(answer.statement);
      if (statement !== null && statement.revision < answer.revision) this.#options.refuse(new Refusal('revision-unproven', `sync at revision ${answer.revision}`));
      const flags: VerifiedFlag[] = [];
      const refused: SignedFlag[] = [];
      for (const signed of [...answer.flags].sort((a, b) => a.revision - b.revision)) {
        const flag = await this.#flag(signed);
        if (flag === null) refused.push(signed);
        else flags.push(flag);
      }
      const next = applySync(before, { since, revision: answer.revision, full: answer.full, flags, refused, statement }, this.#seconds());
      await this.#options.commit(next);
      for (const { key, revision } of refused) log('error', `flag ${key} of revision ${revision} was not applied; it will be asked for again`);
      if (statement === null) return this.#retryLater();
      this.#options.synced();
      if (next.revision < answer.revision || !next.complete) return this.#retryLater();
      this.#retrying = false;
      log('info', `synced to revision ${next.revision}`, { since, changed: flags.length, flags: next.flags.size });
      // An answer older than the stream cannot close its gap; asking again at once would only turn in a circle.
      if (this.#gapBeyond(next.revision)) return this.#retryLater();
      // A vehicle whose clock has yet to be set: the flags' age can be told as soon as it is.
      if (statementFault(before, statement, this.#seconds())?.reason === 'statement-from-the-future') return this.#syncAfter(this.#options.backoff.next());
      this.#options.backoff.reset();
      this.#syncAfter(this.#options.resyncDelay());
    } catch (error) {
      if (error instanceof Refusal) this.#options.refuse(error);
      else if (!this.#ended) log('warn', `sync failed: ${describeError(error)}`);
      this.#retryLater();
    }
  }

  /** Whether the waiting changes do not follow on `revision` without a hole. */
  #gapBeyond(revision: number): boolean {
    let reached = revision;
    for (const change of this.#waiting.sort((a, b) => a.revision - b.revision)) {
      if (change.revision > reached && change.previousRevision > reached) return true;
      reached = Math.max(reached, change.revision);
    }
    return false;
  }

  async #applyWaiting(): Promise<void> {
    const changes = this.#waiting.sort((a, b) => a.revision - b.revision);
    this.#waiting = [];
    const before = this.#options.state();
    let state = before;
    const applied: string[] = [];
    while (changes.length > 0) {
      const change = changes[0]!;
      if (change.revision > state.revision) {
        const gap = change.previousRevision > state.revision;
        if (gap && !this.#retrying) {
          this.#options.log('info', `changes between revision ${state.revision} and ${change.previousRevision} are missing; syncing`);
          this.#syncDue = true;
          break;
        }
        const next = await this.#applyOne(state, change, gap);
        if (next !== null) applied.push(`${change.signed.removed ? 'removed' : 'changed'} ${change.signed.key} at revision ${change.revision}`);
        else this.#retryLater();
        state = next ?? state;
      }
      changes.shift();
    }
    this.#waiting.unshift(...changes);
    if (state === before) return;
    await this.#options.commit(state);
    for (const line of applied) this.#options.log('info', line);
  }

  /** The state after `change`, or null where it is refused. */
  async #applyOne(state: VehicleState, change: ChangeEvent, gap: boolean): Promise<VehicleState | null> {
    if (change.signed.revision !== change.revision) {
      this.#options.refuse(new Refusal('wrong-flag', `change at revision ${change.revision}`));
      return null;
    }
    const flag = await this.#flag(change.signed);
    if (flag === null) return null;
    return applyChange(state, flag, await this.#statement(change.statement), gap, this.#seconds());
  }

  async #flag(signed: SignedFlag): Promise<VerifiedFlag | null> {
    try {
      return await verifyFlag(signed, this.#options.state().identity.environment, this.#options.keys);
    } catch (error) {
      this.#options.refuse(error as Refusal);
      return null;
    }
  }

  /** The statement where it verifies and stands for at least what the vehicle has; else null, counted. */
  async #statement(jws: string): Promise<VerifiedStatement | null> {
    const state = this.#options.state();
    try {
      const statement = await verifyStatement(jws, state.identity.environment, this.#options.keys);
      const fault = statementFault(state, statement, this.#seconds());
      if (fault !== null) this.#options.refuse(fault);
      return fault?.reason === 'revision-below-own' ? null : statement;
    } catch (error) {
      this.#options.refuse(error as Refusal);
      return null;
    }
  }

  /** What is open is asked for again after a growing wait; meanwhile changes are applied as they come. */
  #retryLater(): void {
    if (this.#ended || this.#retryScheduled) return;
    this.#retrying = true;
    this.#syncAfter(this.#options.backoff.next());
    this.#retryScheduled = true;
  }

  #syncAfter(milliseconds: number): void {
    clearTimeout(this.#timer);
    this.#retryScheduled = false;
    this.#timer = setTimeout(() => {
      this.#retryScheduled = false;
      this.#syncDue = true;
      this.#wake();
    }, milliseconds).unref();
  }

  #seconds(): number {
    return Math.floor(this.#options.now() / 1000);
  }
}
