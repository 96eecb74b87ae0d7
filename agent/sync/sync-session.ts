/**
 * Keeps a vehicle's state up to date over one link. It subscribes first and then requests the changes that it missed,
 * so that no change is lost in between. It applies a set of flags only when the set is complete, so that nobody can
 * remove a change unnoticed.
 */
import { unattended } from '../../core/last-handler/unattended.ts';
import { describeError } from '../log.ts';
import type { VehicleState, VerifiedProof } from '../state.ts';
import { assignmentIn, boundPartition } from '../trust/binding.ts';
import { Refusal } from '../trust/refusals.ts';
import { keyIdOf } from '../trust/verification.ts';
import { Verifier } from '../trust/verifier.ts';
import { AgeWatch } from './age-watch.ts';
import { Alarm } from '../link/alarm.ts';
import { lastContact, withStops } from './apply.ts';
import { ChangeSubscription } from './change-subscription.ts';
import { describeChanges, unserved } from './changes.ts';
import { RequestRefused } from '../link/gateway-link.ts';
import type { SignedFlag } from '../link/operations.ts';
import {
  environmentVariable,
  readSyncAnswer,
  type ChangeEvent,
  type FlagOperations,
  type SyncAnswer,
} from '../link/operations.ts';
import { PartitionGuard } from './partition-guard.ts';
import { settle, type SetOutcome, type Settled } from './settle.ts';
import { StagedChanges, hasGap } from './staged-changes.ts';
import type { SyncSessionOptions } from './sync-session-options.ts';

/** The most received or staged changes. Beyond it they are dropped, because one sync replaces them all. */
const MAX_CHANGES = 1000;

/** The longest time, in milliseconds, over which an event may spread syncs: the number in an event is not signed. */
const MAX_SPREAD_MS = 120_000;

/** Syncs a vehicle over one link. */
export class SyncSession {
  readonly #options: SyncSessionOptions;
  readonly #verifier: Verifier;
  readonly #age: AgeWatch;
  readonly #subscription: ChangeSubscription;
  readonly #guard: PartitionGuard;
  /** The verified changes whose set is not complete yet. */
  readonly #staged = new StagedChanges();
  /** The events that were received and not processed yet. */
  #events: ChangeEvent[] = [];
  /** The proof of a heartbeat that was received and not compared yet. */
  #proof: { readonly jws: string; readonly askedAtMs: number } | null = null;
  /** The time of the next sync. */
  readonly #sync = new Alarm(() => this.#wake());
  /** The time of the next full sync, which requests all flags. */
  readonly #fullSync = new Alarm(() => this.#wake());
  /**
   * Whether a sync did not complete a set. Missing changes then wait for the next sync, instead of causing one with
   * every change.
   */
  #retrying = false;
  /** The reading of `performance.now()` at which the next sync of a retry is due. */
  #retryAtMs = -Infinity;
  /** The digest of the set whose absence was reported last. */
  #reported: string | null = null;
  /** The reading of `performance.now()` at which the sync is due that an event has asked to spread over the fleet. */
  #spreadUntilMs = -Infinity;
  #hasEnded = false;
  /** Ends the wait of `run` for something to do. */
  #wake: () => void = () => undefined;

  constructor(options: SyncSessionOptions) {
    this.#options = options;
    this.#verifier = new Verifier(options.state().identity.environment, options.keys, options.refuse);
    const syncWithin = (milliseconds: number) => this.#sync.bringForward(milliseconds);
    this.#subscription = new ChangeSubscription({
      ...options,
      changed: (event) => this.#changed(event),
      missed: () => {
        this.#retryLater();
        this.#wake();
      },
      syncWithin,
    });
    this.#guard = new PartitionGuard({ ...options, isFormer: () => this.#subscription.isFormer, syncWithin });
    this.#age = new AgeWatch({ ...options, sync: () => this.#sync.bringForward(0) });
  }

  /** Runs until the link ends. */
  async run(): Promise<void> {
    const { link, history } = this.#options;
    const over = link.ended.then(() => {
      this.#hasEnded = true;
      this.#wake();
    });
    unattended(over, 'Ending a session');
    history.newLink();
    if (this.#options.state().assignment === null) this.#options.freshness.assignment.unassigned();
    this.#subscription.open();
    this.#age.start();
    await this.#request(false);
    while (!this.#hasEnded) {
      const woken = new Promise<void>((resolve) => (this.#wake = resolve));
      if (this.#fullSync.due) await this.#request(true);
      else if (this.#sync.due) await this.#request(false);
      else if (this.#events.length > 0) await this.#applyEvents();
      else if (this.#proof !== null) await this.#compare(this.#proof.jws, this.#proof.askedAtMs);
      else await woken;
    }
    this.#age.stop();
    this.#sync.cancel();
    this.#fullSync.cancel();
    this.#subscription.close();
  }

  /** The operations that the control plane of this link knows. */
  get operations(): FlagOperations {
    return this.#subscription.operations;
  }

  /** Processes the proof that was requested with a heartbeat at `askedAtMs` (milliseconds of the monotonic clock). */
  prove(jws: string, askedAtMs: number): void {
    this.#proof = { jws, askedAtMs };
    this.#wake();
  }

  #changed(event: ChangeEvent): void {
    this.#events.push(event);
    if (this.#events.length > MAX_CHANGES) this.#dropChanges();
    this.#wake();
  }

  #dropChanges(): void {
    this.#events = [];
    this.#staged.clear();
    this.#sync.bringForward(0);
  }

  /** Requests the changes since the held revision, or all flags, and applies the answer. */
  async #request(isFullSyncDue: boolean): Promise<void> {
    const { link, log, history, freshness, backoff, refuse, resyncDelayMs, ageingClock } = this.#options;
    this.#sync.set(resyncDelayMs());
    const { identity, assignment, complete, revision } = this.#options.state();
    const pace = freshness.assignment;
    const isFull = isFullSyncDue || !complete;
    if (isFull && !isFullSyncDue && history.waitMs > 0) return this.#fullSync.bringForward(history.waitMs);
    if (isFull) this.#fullSync.cancel();
    const since = isFull ? 0 : revision;
    if (assignment === null && !this.#subscription.isFormer) pace.want();
    const { operations } = this;
    const nonce = freshness.ask(!this.#subscription.isFormer);
    // Without an assignment, an answer counts only with a nonce.
    if (nonce === null && assignment === null && !this.#subscription.isFormer) return this.#sync.set(pace.waitMs);
    const askedAtMs = ageingClock.runningMs;
    try {
      const variables = {
        environment: environmentVariable(identity.environment),
        since,
        ...(nonce !== null && { nonce }),
      };
      const data = await this.#answerTo(
        link.request(nonce === null ? operations.sync : operations.nonceSync, variables),
      );
      await this.#applyAnswer(readSyncAnswer(data, identity.environment), since, askedAtMs);
      if (nonce !== null) freshness.answeredInVain();
    } catch (error) {
      if (error instanceof Refusal) refuse(error);
      else if (operations !== this.operations || this.#subscription.switchesToFormer(error)) {
        // The changes are requested again at once, with the operations that the control plane knows.
        freshness.withdraw();
        return this.#sync.bringForward(0);
      } else if (!this.#hasEnded) log('warn', `sync failed: ${describeError(error)}`);
      // After a lost connection, the same nonce may be sent over the next one for as long as its answer would count.
      if (nonce !== null && error instanceof RequestRefused) freshness.refused(error.retryAfter);
      else if (nonce !== null && error instanceof Refusal) freshness.answeredInVain();
      if (isFullSyncDue) this.#fullSync.set(backoff.next());
      else this.#retryLater();
    } finally {
      if (!this.#subscription.isFormer) this.#sync.bringForward(pace.waitMs);
    }
  }

  /** Waits for an answer. The kill switches and disablings of events that come before it take effect meanwhile. */
  async #answerTo(asked: Promise<unknown>): Promise<unknown> {
    const seen = new Set<ChangeEvent>();
    let isOver = false;
    const over = () => ((isOver = true), this.#wake());
    asked.then(over, over);
    while (!isOver) {
      const woken = new Promise<void>((resolve) => (this.#wake = resolve));
      const news = this.#events.filter((event) => !seen.has(event));
      for (const event of news) seen.add(event);
      await (news.length > 0 ? this.#applyStops(news.map(({ signed }) => signed)) : woken);
    }
    return asked;
  }

  /** Applies the kill switches and disablings among changes. What is to refuse is counted when their turn comes. */
  async #applyStops(changes: readonly SignedFlag[]): Promise<void> {
    const before = this.#options.state();
    const quiet = new Verifier(before.identity.environment, this.#options.keys, () => undefined);
    await this.#commit(before, withStops(before, await quiet.flags(changes, 0)));
  }

  /** Applies the answer to a sync since revision `since`; with 0, all flags were requested. */
  async #applyAnswer(answer: SyncAnswer, since: number, askedAtMs: number): Promise<void> {
    const { history, backoff, freshness, log, synced } = this.#options;
    const isFull = since === 0;
    const before = this.#options.state();
    const proof = await this.#verifier.proof(answer.proof);
    const binding = proof === null ? null : this.#guard.bind(proof);
    const assignment = proof !== null && binding === 'assigns' ? assignmentIn(proof) : before.assignment;
    const partition = boundPartition({ assignment });
    // The claims of the answer only decide what is tried; the digest decides what is accepted.
    const verified = await this.#verifier.flags(answer.flags, answer.full ? 0 : since);
    const flags = this.#guard.mine(verified, partition, binding !== 'foreign');
    if (proof === null || binding === null || binding === 'foreign') {
      await this.#commit(before, withStops(before, flags));
      // The next nonce is scheduled. Until then, every answer would be about that partition, too.
      if (binding === 'foreign') return;
      if (isFull) this.#fullSync.bringForward(history.waitFor('', true));
      return this.#retryLater();
    }
    const moves = assignment?.partition !== before.assignment?.partition;
    const changes = isFull ? flags : this.#guard.mine(this.#staged.with(flags), partition, false);
    const settled = settle(before, changes, proof, isFull || answer.full, freshness, assignment);
    const { state, outcome } = settled;
    const held = outcome === 'held';
    await this.#commit(
      before,
      held ? { ...state, lastSyncAt: Math.floor(this.#options.now() / 1000), syncCount: state.syncCount + 1 } : state,
    );
    if (held) synced();
    if (held && binding === 'assigns') freshness.assignment.proven(moves);
    this.#settled(proof, settled, askedAtMs);
    // The held flags cannot be compared with the set of another partition, which is requested as a whole.
    if (moves && !isFull && (outcome === 'ahead' || outcome === 'differs')) return this.#fullSync.bringForward(0);
    if (outcome === 'ahead' || outcome === 'differs')
      return this.#incomplete(proof, moves ? 'ahead' : outcome, 'sync', isFull);
    if (!held) return;
    this.#retrying = false;
    log('info', `synced to revision ${state.revision}`, { since, changed: flags.length, flags: state.flags.size });
    // An answer that is older than the stream cannot close its gap, and another sync at once would give the same.
    if (hasGap(this.#events, state.revision)) return this.#retryLater();
    backoff.reset();
  }

  async #applyEvents(): Promise<void> {
    const { log, aheadMs, backoff, freshness } = this.#options;
    const events = this.#events.sort((a, b) => a.revision - b.revision);
    this.#events = [];
    const before = this.#options.state();
    const spreads = events.flatMap(({ spreadSeconds }) => (spreadSeconds === null ? [] : [spreadSeconds * 1_000]));
    const spreadMs = spreads.length === 0 ? null : Math.min(Math.max(...spreads), MAX_SPREAD_MS);
    let state = before;
    let last: { proof: VerifiedProof; outcome: SetOutcome } | null = null;
    for (const event of events) {
      const proof = await this.#stage(event, state);
      // A kill switch or disabling takes effect by its own signature.
      if (proof === null) state = withStops(state, this.#staged.with());
      if (proof === null) continue;
      const settled = settle(state, this.#staged.with(), proof, false, freshness);
      state = settled.state;
      last = { proof, outcome: settled.outcome };
      // An event may come late, so it alone does not prove that the control plane is behind.
      if (settled.outcome !== 'below') this.#settled(proof, settled, null);
    }
    await this.#commit(before, state);
    if (this.#staged.size > MAX_CHANGES) return this.#dropChanges();
    if (last?.outcome === 'differs') return this.#incomplete(last.proof, 'differs', 'change', false);
    if (last?.outcome !== 'ahead') return;
    if (this.#retrying) return this.#sync.bringForward(backoff.next());
    if (spreadMs !== null) return this.#syncWithin(spreadMs);
    if (performance.now() < this.#spreadUntilMs) return;
    const gap = this.#staged.hasGapBeyond(state.revision);
    if (gap) log('info', `missed changes after revision ${state.revision}; syncing`);
    this.#sync.bringForward(gap ? 0 : aheadMs);
  }

  /** Syncs at a random moment of the next `spreadMs`, because more has changed than is sent to all vehicles. */
  #syncWithin(spreadMs: number): void {
    const now = performance.now();
    if (now < this.#spreadUntilMs) return;
    const wait = this.#options.random() * spreadMs;
    this.#spreadUntilMs = now + wait;
    this.#options.log('info', `many changes at once; syncing in ${Math.round(wait / 1_000)} s`);
    // A heartbeat may have brought a proof of these changes before, and a sync that would be too early.
    this.#sync.set(Math.min(wait, this.#options.freshness.assignment.waitMs));
  }

  /** Stages a change until its set is complete. Resolves to its proof; null where there is none to compare. */
  async #stage(
    { signed, revision, previousRevision, proof }: ChangeEvent,
    state: VehicleState,
  ): Promise<VerifiedProof | null> {
    const named = revision === signed.revision;
    if (!named) this.#options.refuse(new Refusal('wrong-flag', `change at revision ${revision}`));
    const flag = named ? await this.#verifier.flag(signed) : null;
    // A change of another partition is no gap: this vehicle has missed nothing.
    const mine = flag === null ? [] : this.#guard.mine([flag], boundPartition(state), true);
    for (const each of mine) if (revision > state.revision) this.#staged.add(each, previousRevision);
    const verified = await this.#verifier.proof(proof);
    if (flag === null || verified === null) this.#retryLater();
    return verified === null ? null : this.#guard.own(verified);
  }

  /** Compares the proof that came with a heartbeat with the held set. */
  async #compare(jws: string, askedAtMs: number): Promise<void> {
    this.#proof = null;
    const verified = await this.#verifier.proof(jws);
    const proof = verified === null ? null : this.#guard.own(verified);
    if (proof === null) return;
    const before = this.#options.state();
    const settled = settle(before, this.#staged.with(), proof, false, this.#options.freshness);
    await this.#commit(before, settled.state);
    this.#settled(proof, settled, askedAtMs);
    const { outcome } = settled;
    const holdsNothing = before.flags.size === 0 && !before.complete;
    // The network may have removed flags from earlier answers and be honest now; a vehicle without flags loses nothing
    // by another full sync.
    if (
      holdsNothing &&
      (outcome === 'ahead' || outcome === 'differs') &&
      this.#options.history.mayRetryAtOnce(proof.set ?? '')
    )
      return this.#fullSync.bringForward(0);
    if (outcome === 'differs') return this.#incomplete(proof, 'differs', 'proof', false);
    if (outcome === 'ahead' && performance.now() >= this.#spreadUntilMs) this.#sync.bringForward(this.#options.aheadMs);
  }

  /**
   * Handles what a comparison says about the control plane's revision, about time, and about the key of the assignment.
   */
  #settled(proof: VerifiedProof, { outcome, judgement }: Settled, askedAtMs: number | null): void {
    const { history, refuse } = this.#options;
    if (outcome === 'below') {
      const wait = history.below();
      if (wait === 0) refuse(new Refusal('revision-below-own', `a control plane at revision ${proof.revision}`));
      else if (wait !== null) this.#sync.bringForward(wait);
    }
    if (outcome !== 'held') return;
    history.held();
    this.#fullSync.cancel();
    this.#reported = null;
    if (judgement !== null) this.#age.judged(proof, judgement, askedAtMs);
    const { assignment } = this.#options.state();
    // The key of the assignment will be removed. The assignment must be proven under the new one before the next start.
    if (assignment !== null && keyIdOf(assignment.jws) !== keyIdOf(proof.jws)) {
      this.#options.freshness.assignment.hint();
      this.#sync.bringForward(this.#options.freshness.assignment.waitMs);
    }
  }

  /**
   * Reports that the set of `proof` is not held, and schedules a full sync.
   *
   * @param source the message that has brought the proof
   * @param isAfterFullSync whether a full sync has just ended
   */
  async #incomplete(
    proof: VerifiedProof,
    outcome: SetOutcome,
    source: 'sync' | 'change' | 'proof',
    isAfterFullSync: boolean,
  ): Promise<void> {
    const { history, refuse, backoff, commit } = this.#options;
    const set = proof.set ?? '';
    if (source === 'sync' || this.#reported !== set)
      refuse(new Refusal('incomplete', `${source} at revision ${proof.revision}`));
    this.#reported = set;
    this.#retrying = true;
    const state = this.#options.state();
    // The control plane itself says that this revision has another set.
    if (outcome === 'differs' && state.complete && proof.issuedAt >= lastContact(state))
      await commit({ ...state, complete: false });
    // The wait is random, because a whole fleet may find this out at the same change.
    this.#fullSync.bringForward(history.waitFor(set, isAfterFullSync) || backoff.next());
  }

  /** Commits `next` as the vehicle's state where it differs from `before`. */
  async #commit(before: VehicleState, next: VehicleState): Promise<void> {
    if (next === before) return;
    const { log, refuse, commit } = this.#options;
    await commit(next);
    this.#staged.dropUpTo(next.revision);
    if (boundPartition(next) !== boundPartition(before)) this.#staged.keepOnly(boundPartition(next));
    for (const line of describeChanges(before, next)) log('info', line);
    for (const refusal of unserved(before, next)) refuse(refusal);
  }

  /** Schedules the next sync after a growing wait. Meanwhile, changes are applied as they come. */
  #retryLater(): void {
    const now = performance.now();
    if (this.#retrying && this.#retryAtMs > now) return;
    this.#retrying = true;
    const wait = this.#options.backoff.next();
    this.#retryAtMs = now + wait;
    this.#sync.bringForward(wait);
  }
}
