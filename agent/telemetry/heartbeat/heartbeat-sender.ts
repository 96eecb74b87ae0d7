/**
 * Says over one link what this agent is and what it has on disk: every minute, and soon after a revision was persisted,
 * so that people see how far a change has got. Nothing here disturbs the sync: what is not taken is said again later.
 */
import { describeError, type Log } from '../../log.ts';
import type { Environment } from '../../../core/model.ts';
import { RequestRefused, retryAfterMs, type GatewayLink } from '../../link/gateway-link.ts';
import { LinkWait } from '../../link/link-wait.ts';
import { PROOF_QUERY, environmentVariable, readProofAnswer } from '../../link/operations.ts';

export const HEARTBEAT_MUTATION = 'mutation Heartbeat($input: AgentHeartbeatInput!) { agentHeartbeat(input: $input) }';

export interface HeartbeatFacts {
  /** Absent where the vehicle's version is not configured. */
  readonly swVersion?: string;
  readonly agentVersion: string;
  /** The revision that would survive a power cut, where its set is proven. */
  readonly appliedRevision?: number;
  /** Of the database. */
  readonly cacheBytes: number;
  /** The control plane's clock less the vehicle's; absent before the first contact. */
  readonly clockOffsetSeconds?: number;
  /** How often what was refused since the start, by kind. */
  readonly refusals?: Readonly<Record<string, number>>;
  /** Whether the flags that are held are those of the last proof. */
  readonly complete?: boolean;
}

export interface HeartbeatOptions {
  readonly link: Pick<GatewayLink, 'request' | 'ended'>;
  readonly facts: () => HeartbeatFacts;
  readonly environment: Environment;
  /**
   * Takes the control plane's proof of now, which is asked for with each heartbeat, and when it was asked for, by the
   * clock that nobody sets.
   */
  readonly proof: (jws: string, askedAtMs: number) => void;
  /** Milliseconds between two heartbeats; up to a tenth is added at random. */
  readonly intervalMs: number;
  /**
   * The longest that a heartbeat waits after the connection or a persisted revision: at random, so that a fleet does
   * not speak at once. After another heartbeat it waits as long again.
   */
  readonly spreadMs: number;
  /** Uniform in [0, 1). */
  readonly random: () => number;
  readonly log: Log;
}

const MB = 1024 * 1024;

/** Percent of one core that this process has used between two calls; of the time since it was made at the first. */
export function cpuMeter(): () => number {
  let [used, at] = [process.cpuUsage(), performance.now()];
  return () => {
    const spent = process.cpuUsage(used);
    const now = performance.now();
    const percent = (spent.user + spent.system) / 10 / Math.max(1, now - at);
    [used, at] = [process.cpuUsage(), now];
    return Math.round(percent * 100) / 100;
  };
}

export class HeartbeatSender {
  readonly #options: HeartbeatOptions;
  readonly #wait: LinkWait;
  readonly #cpuPercent = cpuMeter();
  /** What the control plane was last told. */
  #toldRevision: number | null | undefined = null;
  #toldAt = -Infinity;
  #fault: string | null = null;
  #proofFault: string | null = null;
  /** Whether the control plane takes what those of before do not know. */
  #tellsMore = true;
  #toldRefusals: Readonly<Record<string, number>> = {};

  constructor(options: HeartbeatOptions) {
    this.#options = options;
    this.#wait = new LinkWait(options.link.ended);
  }

  /** Runs until the link ends; never rejects. */
  async run(): Promise<void> {
    const { spreadMs, random } = this.#options;
    let wait = spreadMs * random();
    while (!this.#wait.ended) {
      await this.#wait.pause(wait);
      if (this.#wait.ended) return;
      [wait] = await Promise.all([this.#beat(), this.#prove()]);
    }
  }

  /** A state was written. What follows within the wait goes with the same heartbeat. */
  persisted(): void {
    const { facts, spreadMs, random } = this.#options;
    // One that was refused is tried again when it was told to.
    if (this.#fault !== null || facts().appliedRevision === this.#toldRevision) return;
    this.#wait.shorten(Math.max(0, this.#toldAt + spreadMs - performance.now()) + spreadMs * random());
  }

  /** Asks for the proof of now: it says whether a change has been kept back on its way. */
  async #prove(): Promise<void> {
    const { link, environment, proof, log } = this.#options;
    try {
      const askedAtMs = performance.now();
      proof(
        readProofAnswer(await link.request(PROOF_QUERY, { environment: environmentVariable(environment) })),
        askedAtMs,
      );
      this.#proofFault = null;
    } catch (error) {
      const fault = describeError(error);
      if (!this.#wait.ended && fault !== this.#proofFault) log('warn', `no proof came with a heartbeat: ${fault}`);
      this.#proofFault = fault;
    }
  }

  /** Sends one. Resolves to the milliseconds until the next. */
  async #beat(): Promise<number> {
    const { link, facts, intervalMs, spreadMs, random, log } = this.#options;
    const { cacheBytes, clockOffsetSeconds, refusals: counts = {}, complete = true, ...rest } = facts();
    const refusals = Object.keys(counts).filter((kind) => (counts[kind] ?? 0) > (this.#toldRefusals[kind] ?? 0));
    if (!complete && !refusals.includes('incomplete')) refusals.push('incomplete');
    const more = { ...(clockOffsetSeconds !== undefined && { clockOffsetSeconds }), refusals };
    const agentMemoryMb = Math.round(process.memoryUsage.rss() / MB);
    const input = {
      ...rest,
      agentMemoryMb,
      agentCpuPercent: Math.min(this.#cpuPercent(), 999),
      cacheSizeMb: Math.round((cacheBytes / MB) * 100) / 100,
      ...(this.#tellsMore && more),
    };
    let wait = intervalMs * (1 + random() / 10);
    try {
      await link.request(HEARTBEAT_MUTATION, { input });
      this.#toldRevision = input.appliedRevision;
      this.#toldAt = performance.now();
      this.#toldRefusals = counts;
      this.#fault = null;
      // Persisted while this heartbeat was on its way.
      if (facts().appliedRevision !== input.appliedRevision) wait = spreadMs * (1 + random());
    } catch (error) {
      const fault = describeError(error);
      // A control plane of before does not know them, and would take no heartbeat at all.
      if (
        error instanceof RequestRefused &&
        /clockOffsetSeconds|"refusals"|input\.refusals/.test(fault) &&
        this.#tellsMore
      ) {
        this.#tellsMore = false;
        return 0;
      }
      // Once, and not every minute.
      if (!this.#wait.ended && fault !== this.#fault) log('warn', `a heartbeat was not taken: ${fault}`);
      this.#fault = fault;
      wait = Math.min(wait, retryAfterMs(error, random) ?? wait);
    }
    return wait;
  }
}
