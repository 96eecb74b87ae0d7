/**
 * Asks over one link what is registered of this vehicle: soon after a start that needs it, else now and then, so that a
 * vehicle that is registered anew learns it. Nothing here disturbs the sync.
 */
import { randomBytes } from 'node:crypto';
import { describeError, type Log } from '../log.ts';
import { retryAfterMs, type GatewayLink } from '../link/gateway-link.ts';
import { LinkWait } from '../link/link-wait.ts';
import { Refusal } from '../trust/refusals.ts';
import type { VerifiedFacts } from './known-facts.ts';
import { membersOf } from '../../core/json/json-value.ts';

export const FACTS_QUERY = 'query Facts($nonce: String!) { vehicleFacts(nonce: $nonce) }';

export interface FactsRefresherOptions {
  readonly link: Pick<GatewayLink, 'request' | 'ended'>;
  /** Whether the vehicle needs a fact that nobody has told it since its start. */
  readonly urgent: () => boolean;
  /** Verifies an answer to the question that had `nonce`; rejects with a Refusal. */
  readonly verify: (jws: string, nonce: string) => Promise<VerifiedFacts>;
  /** Takes over what is registered, durably. */
  readonly learn: (facts: VerifiedFacts) => Promise<void>;
  /** Counts and logs an answer that was not believed. */
  readonly refuse: (refusal: Refusal) => void;
  /** Milliseconds between two questions; asked anew each time. */
  readonly intervalMs: () => number;
  /** Milliseconds over which the first question of vehicles that need a fact is spread. */
  readonly spreadMs: number;
  /** Uniform in [0, 1). */
  readonly random: () => number;
  readonly log: Log;
}

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
    let wait = (urgent() ? spreadMs : intervalMs()) * random();
    while (!this.#wait.ended) {
      await this.#wait.pause(wait);
      if (!this.#wait.ended) wait = await this.#ask();
    }
  }

  /** Asks once. Resolves to the milliseconds until the next question. */
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
      // Once, and not every few minutes: a control plane from before knows no such question.
      if (!this.#wait.ended && fault !== this.#fault)
        log('info', `the registered facts of this vehicle are not known: ${fault}`);
      this.#fault = fault;
      return retryAfterMs(error, random) ?? intervalMs();
    }
    return intervalMs();
  }
}
