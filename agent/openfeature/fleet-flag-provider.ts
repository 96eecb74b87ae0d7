/**
 * FleetFlag as a provider of OpenFeature's server SDK, on an agent in the same process.
 */
import {
  ErrorCode,
  OpenFeatureEventEmitter,
  ProviderEvents,
  ProviderNotReadyError,
  type EvaluationContext,
  type JsonValue,
  type Provider,
  type ResolutionDetails,
  type TrackingEventDetails,
} from '@openfeature/server-sdk';
import { unattended } from '../../core/async/unattended.ts';
import { FleetFlagError } from '../../core/errors.ts';
import type { JsonObject } from '../../core/model.ts';
import { evaluationDetails } from '../api/evaluation-details.ts';
import { readFlatContext } from '../api/flat-context.ts';
import type { FleetFlagAgent } from '../fleet-flag-agent.ts';
import { timerDelay } from '../timer-delay.ts';
import { parseJson } from '../../core/json/json-value.ts';

export interface FleetFlagProviderOptions {
  /** Milliseconds that `initialize` waits for flags, from the file or the network: 10 s. */
  readonly initializeTimeoutMs?: number;
  /** Milliseconds without contact to the control plane until the provider is STALE: 1 minute. */
  readonly staleAfterMs?: number;
}

/** What the provider needs of the agent. */
export type ProvidingAgent = Pick<
  FleetFlagAgent,
  'ready' | 'isReady' | 'isClosed' | 'status' | 'inTouch' | 'onChange' | 'onContact' | 'onClose' | 'evaluate' | 'track'
>;

/**
 * The agent stays its program's, which starts and closes it; an agent may have several providers.
 *
 * - READY: there are flags, and the control plane was in touch within `staleAfterMs`.
 * - STALE: it was not, or the agent starts with flags past their TTL. Flags are evaluated all the same.
 * - ERROR with PROVIDER_NOT_READY: no flags within `initializeTimeoutMs`. READY follows as soon as there are some. So
 *   is
 *   a provider whose agent was closed, and that for good: programs get their own defaults.
 */
export class FleetFlagProvider implements Provider {
  readonly metadata = { name: 'fleetflag' };
  readonly runsOn = 'server';
  readonly hooks = [];
  readonly events = new OpenFeatureEventEmitter();
  readonly #agent: ProvidingAgent;
  readonly #initializeTimeoutMs: number;
  readonly #staleAfterMs: number;
  #endings: (() => void)[] = [];
  #open = false;
  #stale = false;
  #staleTimer: NodeJS.Timeout | undefined;
  #changed = new Set<string>();

  /** @param agent one that has been started, or will be */
  constructor(
    agent: ProvidingAgent,
    { initializeTimeoutMs = 10_000, staleAfterMs = 60_000 }: FleetFlagProviderOptions = {},
  ) {
    this.#agent = agent;
    this.#initializeTimeoutMs = initializeTimeoutMs;
    this.#staleAfterMs = staleAfterMs;
  }

  /**
   * Resolves once there are flags. Rejects with ProviderNotReadyError where there are none in time, or the agent is
   * closed.
   */
  async initialize(): Promise<void> {
    this.#open = true;
    if (this.#agent.isClosed) throw new ProviderNotReadyError(CLOSED);
    const ready = this.#agent.ready().then(() => true);
    let timer: NodeJS.Timeout | undefined;
    const inTime = await Promise.race([
      ready,
      new Promise<false>(
        (resolve) => (timer = setTimeout(() => resolve(false), timerDelay(this.#initializeTimeoutMs))),
      ),
    ]);
    clearTimeout(timer);
    if (!this.#open) return;
    if (this.#agent.isClosed) throw new ProviderNotReadyError(CLOSED);
    if (inTime) return this.#follow();
    const late = ready.then(() => {
      if (!this.#open) return;
      this.#follow();
      this.events.emit(ProviderEvents.Ready, {});
    });
    unattended(late, 'Becoming ready late');
    throw new ProviderNotReadyError(`The agent has had no flags within ${this.#initializeTimeoutMs} ms.`);
  }

  /** Stops telling; the agent goes on. */
  async onClose(): Promise<void> {
    this.#forget();
  }

  #forget(): void {
    this.#open = false;
    clearTimeout(this.#staleTimer);
    for (const end of this.#endings) end();
    this.#endings = [];
  }

  async resolveBooleanEvaluation(
    flagKey: string,
    defaultValue: boolean,
    context: EvaluationContext,
  ): Promise<ResolutionDetails<boolean>> {
    return this.#resolve(flagKey, 'boolean', defaultValue, context);
  }

  async resolveStringEvaluation(
    flagKey: string,
    defaultValue: string,
    context: EvaluationContext,
  ): Promise<ResolutionDetails<string>> {
    return this.#resolve(flagKey, 'string', defaultValue, context);
  }

  async resolveNumberEvaluation(
    flagKey: string,
    defaultValue: number,
    context: EvaluationContext,
  ): Promise<ResolutionDetails<number>> {
    return this.#resolve(flagKey, 'number', defaultValue, context);
  }

  /**
   * A value of the default's kind: an object or list, or the scalar of a flag of type json. It is not checked against
   * `T` any further.
   */
  async resolveObjectEvaluation<T extends JsonValue>(
    flagKey: string,
    defaultValue: T,
    context: EvaluationContext,
  ): Promise<ResolutionDetails<T>> {
    return this.#resolve(flagKey, typeof defaultValue, defaultValue, context);
  }

  /**
   * Records a measurement: `flagKey` in the details names the flag whose effect it is, `value` is 1 where there is none
   * (it happened once), and what else is text, a number or a boolean becomes a tag.
   *
   * @throws FleetFlagError as `FleetFlagAgent.track` does; the SDK logs it at the level debug
   */
  track(metric: string, _context: EvaluationContext, { value = 1, flagKey, ...others }: TrackingEventDetails): void {
    if (typeof flagKey !== 'string')
      throw new FleetFlagError(
        'BAD_USER_INPUT',
        `Tracking ${JSON.stringify(metric)} needs the flag that it is about as flagKey in its details.`,
        { field: 'flagKey' },
      );
    const tags = Object.entries(others).flatMap(([name, tag]) =>
      typeof tag === 'string' || typeof tag === 'number' || typeof tag === 'boolean' ? [[name, tag] as const] : [],
    );
    this.#agent.track(metric, value, {
      flagKey,
      tags: tags.length === 0 ? undefined : Object.fromEntries(tags),
    });
  }

  /** By the kind of the value, not the flag's type: OFREP knows no types, and so both providers give the same. */
  #resolve<T extends JsonValue>(
    flagKey: string,
    type: string,
    defaultValue: T,
    context: EvaluationContext,
  ): ResolutionDetails<T> {
    const evaluated = this.#agent.evaluate(flagKey, readFlatContext(jsonOf(context)));
    const fits = () => typeof evaluated!.evaluation.value === typeof defaultValue;
    const { value, reason, variant, errorCode, errorMessage, flagMetadata } = evaluationDetails(
      flagKey,
      type,
      defaultValue,
      evaluated,
      this.#agent.isReady,
      fits,
    );
    return {
      value,
      reason,
      flagMetadata,
      ...(variant === undefined ? {} : { variant }),
      ...(errorCode === undefined ? {} : { errorCode: ErrorCode[errorCode], errorMessage }),
    };
  }

  #follow(): void {
    this.#endings = [
      this.#agent.onChange(({ key }) => this.#announce(key)),
      this.#agent.onContact((inTouch) => this.#contact(inTouch)),
      this.#agent.onClose(() => this.#agentClosed()),
    ];
    if (this.#agent.inTouch) return;
    // Not at once even so: the SDK announces READY when `initialize` has resolved.
    this.#staleIn(this.#agent.status().staleFlags > 0 ? 0 : this.#staleAfterMs);
  }

  #contact(inTouch: boolean): void {
    clearTimeout(this.#staleTimer);
    if (!inTouch) return this.#staleIn(this.#staleAfterMs);
    if (!this.#stale) return;
    this.#stale = false;
    this.events.emit(ProviderEvents.Ready, { message: 'The control plane is in touch again.' });
  }

  #agentClosed(): void {
    this.#forget();
    this.events.emit(ProviderEvents.Error, { errorCode: ErrorCode.PROVIDER_NOT_READY, message: CLOSED });
  }

  #staleIn(milliseconds: number): void {
    if (this.#stale) return;
    this.#staleTimer = setTimeout(() => {
      this.#stale = true;
      this.events.emit(ProviderEvents.Stale, { message: 'The control plane is out of touch.' });
    }, timerDelay(milliseconds)).unref();
  }

  /** Changes that the agent applied together are one event. */
  #announce(key: string): void {
    this.#changed.add(key);
    if (this.#changed.size > 1) return;
    queueMicrotask(() => {
      const flagsChanged = [...this.#changed];
      this.#changed.clear();
      if (this.#open) this.events.emit(ProviderEvents.ConfigurationChanged, { flagsChanged });
    });
  }
}

const CLOSED = 'The agent is closed: nothing changes any more. Start another one, and give it a provider.';

/**
 * The context as OFREP would carry it: dates are ISO 8601 text, and a member that cannot be written as JSON is left
 * out.
 */
function jsonOf(context: EvaluationContext): JsonObject {
  const members = Object.keys(context).flatMap((name) => {
    try {
      const text: string | undefined = JSON.stringify(context[name]);
      return text === undefined ? [] : [[name, parseJson(text)] as const];
    } catch {
      return [];
    }
  });
  return Object.fromEntries(members);
}
