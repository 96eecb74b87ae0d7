/**
 * Requests the registered facts of this vehicle over one link: soon where the vehicle still needs them, and otherwise
 * at long intervals, so that the vehicle learns of a new registration. Failures here do not disturb the sync.
 */
import { randomBytes } from 'node:crypto';
import { describeError, type Log } from '../log.ts';
import { retryAfterMs, type GatewayLink } from '../link/gateway-link.ts';
import { LinkWait } from '../link/link-wait.ts';
import { Refusal } from '../trust/refusals.ts';
import type { VerifiedFacts } from './known-facts.ts';
import { membersOf } from '../../core/json/json-value.ts';

/** The query for the signed facts of the vehicle. */
export const FACTS_QUERY = 'query Facts($nonce: String!) { vehicleFacts(nonce: $nonce) }';

/** The options of a refresher. */
export interface FactsRefresherOptions {
  readonly link: Pick<GatewayLink, 'request' | 'ended'>;
  /** Says whether the vehicle needs a fact that the control plane has not confirmed since the start. */
  readonly urgent: () => boolean;
  /** Verifies an answer to the request with `nonce`; rejects with a Refusal. */
  readonly verify: (jws: string, nonce: string) => Promise<VerifiedFacts>;
  /** Adopts the registered facts and stores them. */
  readonly learn: (facts: VerifiedFacts) => Promise<void>;
  /** Counts and logs a refused answer. */
  readonly refuse: (refusal: Refusal) => void;
  /** Gives the milliseconds until the next request; called before each. */
  readonly intervalMs: () => number;
  /** The milliseconds over which the first requests of vehicles that need a fact are spread. */
  readonly spreadMs: number;
  /** A source of random numbers, uniform in [0, 1). */
  readonly random: () => number;
  readonly log: Log;
}

/** Keeps the registered facts up to date while a link lasts. */
export class FactsRefresher {
  readonly #options: FactsRefresherOptions;
  readonly #wait: LinkWait;
  #fault: string | null = null;

  constructor(options: FactsRefresherOptions) {
    this.#options = options;
    this.#wait = new LinkWait(options.link.ended);
  }

  /** Runs until the link ends; never rejects. */
  async run(): Promise<void> {
    const { urgent, intervalMs, spreadMs, random } = this.#options;
    let waitMs = (urgent() ? spreadMs : intervalMs()) * random();
    while (!this.#wait.ended) {
      await this.#wait.pause(waitMs);
      if (!this.#wait.ended) waitMs = await this.#ask();
    }
  }

  /** Requests the facts once. Resolves to the milliseconds until the next request. */
  async #ask(): Promise<number> {
    const { link, verify, learn, refuse, intervalMs, random, log } = this.#options;
    try {
      const nonce = randomBytes(16).toString('base64url');
      const { vehicleFacts } = membersOf(await link.request(FACTS_QUERY, { nonce }));
      await learn(await verify(String(vehicleFacts), nonce));
      this.#fault = null;
    } catch (error) {
      if (error instanceof Refusal) refuse(error);
      const fault = describeError(error);
      // The same fault is logged once: an older control plane does not know this query, and would fail every time.
      if (!this.#wait.ended && fault !== this.#fault)
        log('info', `cannot read the facts registered for this vehicle; asking again later: ${fault}`);
      this.#fault = fault;
      return retryAfterMs(error, random) ?? intervalMs();
    }
    return intervalMs();
  }
}
