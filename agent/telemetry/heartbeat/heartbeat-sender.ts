/**
 * Sends heartbeats over one link: they report this agent, its persisted revision and the new contents that programs
 * have evaluated, every minute and soon after one of these has changed, so that people see how far a change has spread,
 * and a release goes on. Failures here do not disturb the sync; a refused heartbeat is sent again later.
 */
import { isDeepStrictEqual } from 'node:util';
import { spreadInterval } from '../../../core/async/spread.ts';
import { describeError, type Log } from '../../log.ts';
import type { Environment } from '../../../core/model.ts';
import { RequestRefused, retryAfterMs, type GatewayLink } from '../../link/gateway-link.ts';
import { LinkWait } from '../../link/link-wait.ts';
import { environmentVariable, readProofAnswer } from '../../link/operations.ts';

/** The operation that sends a heartbeat. */
export const HEARTBEAT_MUTATION = 'mutation Heartbeat($input: AgentHeartbeatInput!) { agentHeartbeat(input: $input) }';

/** The data of a heartbeat. */
export interface HeartbeatFacts {
  /** The vehicle's software version; absent where it is not configured. */
  readonly swVersion?: string;
  readonly agentVersion: string;
  /** The revision that a power cut would leave; absent where its set is not proven. */
  readonly appliedRevision?: number;
  /** The bytes of the database. */
  readonly cacheBytes: number;
  /** The control plane's clock minus the vehicle's, in seconds; absent before the first contact. */
  readonly clockOffsetSeconds?: number;
  /** The number of refusals since the start, by reason. */
  readonly refusals?: Readonly<Record<string, number>>;
  /** Whether the held flags are the set of the last proof. */
  readonly complete?: boolean;
  /** The flags whose changes are stored and not active yet, with the revision of the change. */
  readonly pending?: readonly { readonly key: string; readonly revision: number }[];
  /** The flags in a release whose new content programs have evaluated, with the revision of the active definition. */
  readonly evaluated?: readonly { readonly key: string; readonly revision: number }[];
}

/** The options of a sender. */
export interface HeartbeatOptions {
  readonly link: Pick<GatewayLink, 'request' | 'ended'>;
  readonly facts: () => HeartbeatFacts;
  readonly environment: Environment;
  /** Gives the query for the present proof that the control plane knows. */
  readonly proofQuery: () => string;
  /**
   * Called with the control plane's present proof, which is requested with each heartbeat, and with the milliseconds of
   * the monotonic clock at the request.
   */
  readonly proof: (jws: string, askedAtMs: number) => void;
  /** The milliseconds between two heartbeats; up to a tenth is added at random. */
  readonly intervalMs: number;
  /**
   * The longest random wait, in milliseconds, of a heartbeat after the connection or a persisted revision, so that a
   * fleet does not send all at once. After another heartbeat it waits as long again.
   */
  readonly spreadMs: number;
  /** A source of random numbers, uniform in [0, 1). */
  readonly random: () => number;
  readonly log: Log;
}

/** The most pending flags, and evaluated ones, in a heartbeat which the control plane accepts. */
const MAX_FLAGS = 100;

/**
 * The members that older control planes do not know, those that came together under one name, and the refusal of a
 * heartbeat that has them. A control plane that refuses one would refuse every heartbeat with it.
 */
const NEWER_MEMBERS = [
  ['pending', /"pending"|input\.pending/],
  ['evaluated', /"evaluated"|input\.evaluated/],
  ['facts', /clockOffsetSeconds|"refusals"|input\.refusals/],
] as const;
type NewerMembers = (typeof NEWER_MEMBERS)[number][0];

const MB = 1024 * 1024;

/** Makes a meter that gives the percentage of one core that this process has used since the last call. */
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

/** Sends heartbeats while a link lasts. */
export class HeartbeatSender {
  readonly #options: HeartbeatOptions;
  readonly #wait: LinkWait;
  readonly #cpuPercent = cpuMeter();
  /** The revision and the evaluated contents that were reported last; null before the first report. */
  #reported: Pick<HeartbeatFacts, 'appliedRevision' | 'evaluated'> | null = null;
  #reportedAtMs = -Infinity;
  #fault: string | null = null;
  #proofFault: string | null = null;
  /** The newer members that the control plane has refused. */
  readonly #unknown = new Set<NewerMembers>();
  #reportedRefusals: Readonly<Record<string, number>> = {};

  constructor(options: HeartbeatOptions) {
    this.#options = options;
    this.#wait = new LinkWait(options.link.ended);
  }

  /** Runs until the link ends; never rejects. */
  async run(): Promise<void> {
    const { spreadMs, random } = this.#options;
    let waitMs = spreadMs * random();
    while (!this.#wait.ended) {
      await this.#wait.pause(waitMs);
      if (this.#wait.ended) return;
      [waitMs] = await Promise.all([this.#beat(), this.#prove()]);
      // A revision was persisted, or a content evaluated, while the requests were on their way.
      if (this.#fault === null && this.#hasNews()) waitMs = Math.min(waitMs, spreadMs * (1 + random()));
    }
  }

  /** Says whether the persisted revision or the evaluated contents are no longer those of the last heartbeat. */
  #hasNews(): boolean {
    const { appliedRevision, evaluated = [] } = this.#options.facts();
    const reported = this.#reported;
    return (
      reported?.appliedRevision !== appliedRevision ||
      (!this.#unknown.has('evaluated') && !isDeepStrictEqual(reported?.evaluated, evaluated))
    );
  }

  /** Schedules a heartbeat after a state was written. Further writes within the wait go with the same heartbeat. */
  statePersisted(): void {
    if (this.#reported === null || this.#options.facts().appliedRevision !== this.#reported.appliedRevision)
      this.#soon();
  }

  /** Schedules a heartbeat after a program has evaluated a new content first. */
  contentEvaluated(): void {
    if (!this.#unknown.has('evaluated')) this.#soon();
  }

  #soon(): void {
    const { spreadMs, random } = this.#options;
    // A refused heartbeat is sent again at the time that the refusal named.
    if (this.#fault !== null) return;
    this.#wait.shorten(Math.max(0, this.#reportedAtMs + spreadMs - performance.now()) + spreadMs * random());
  }

  /** Requests the present proof, which shows whether a change was withheld on its way. */
  async #prove(): Promise<void> {
    const { link, environment, proofQuery, proof, log } = this.#options;
    try {
      const askedAtMs = performance.now();
      proof(
        readProofAnswer(await link.request(proofQuery(), { environment: environmentVariable(environment) })),
        askedAtMs,
      );
      this.#proofFault = null;
    } catch (error) {
      const fault = describeError(error);
      if (!this.#wait.ended && fault !== this.#proofFault)
        log('warn', `cannot get the current proof; asking again with the next heartbeat: ${fault}`);
      this.#proofFault = fault;
    }
  }

  /** Sends a heartbeat. Resolves to the milliseconds until the next. */
  async #beat(): Promise<number> {
    const { link, facts, intervalMs, random, log } = this.#options;
    const {
      cacheBytes,
      clockOffsetSeconds,
      refusals: counts = {},
      complete = true,
      pending = [],
      evaluated = [],
      ...rest
    } = facts();
    const refusals = Object.keys(counts).filter((kind) => (counts[kind] ?? 0) > (this.#reportedRefusals[kind] ?? 0));
    if (!complete && !refusals.includes('incomplete')) refusals.push('incomplete');
    const more = { ...(clockOffsetSeconds !== undefined && { clockOffsetSeconds }), refusals };
    const agentMemoryMb = Math.round(process.memoryUsage.rss() / MB);
    const input = {
      ...rest,
      agentMemoryMb,
      agentCpuPercent: Math.min(this.#cpuPercent(), 999),
      cacheSizeMb: Math.round((cacheBytes / MB) * 100) / 100,
      ...(!this.#unknown.has('facts') && more),
      ...(!this.#unknown.has('pending') && pending.length > 0 && { pending: pending.slice(0, MAX_FLAGS) }),
      // An empty list says that this agent knows of evaluations, and of none.
      ...(!this.#unknown.has('evaluated') && { evaluated: evaluated.slice(0, MAX_FLAGS) }),
    };
    let wait = spreadInterval(intervalMs, random);
    try {
      await link.request(HEARTBEAT_MUTATION, { input });
      this.#reported = { appliedRevision: input.appliedRevision, evaluated };
      this.#reportedAtMs = performance.now();
      this.#reportedRefusals = counts;
      this.#fault = null;
    } catch (error) {
      const fault = describeError(error);
      const refused = NEWER_MEMBERS.find(([members, refusal]) => !this.#unknown.has(members) && refusal.test(fault));
      if (error instanceof RequestRefused && refused !== undefined) {
        this.#unknown.add(refused[0]);
        return 0;
      }
      // The same fault is logged once, and not every minute.
      if (!this.#wait.ended && fault !== this.#fault)
        log('warn', `the control plane did not accept a heartbeat; sending another later: ${fault}`);
      this.#fault = fault;
      wait = Math.min(wait, retryAfterMs(error, random) ?? wait);
    }
    return wait;
  }
}
