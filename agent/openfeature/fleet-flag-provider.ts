/**
 * A provider for OpenFeature's server SDK that evaluates with an agent in the same process.
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
import { unattended } from '../../core/last-handler/unattended.ts';
import { FleetFlagError } from '../../core/errors.ts';
import type { JsonObject } from '../../core/model.ts';
import { evaluationDetails } from '../api/evaluation-details.ts';
import { readFlatContext } from '../api/flat-context.ts';
import type { FleetFlagAgent } from '../assembly/fleet-flag-agent.ts';
import { timerDelay } from '../../core/async/timer-delay.ts';
import { TimeoutError, withTimeout } from '../../core/async/timeout.ts';
import { parseJson } from '../../core/json/json-value.ts';

/** The options of the provider. */
export interface FleetFlagProviderOptions {
  /** The milliseconds for which `initialize` waits for flags from disk or the network; 10 s by default. */
  readonly initializeTimeoutMs?: number;
  /** The milliseconds without contact to the control plane until the provider is STALE; 1 minute by default. */
  readonly staleAfterMs?: number;
}

/** The parts of the agent that the provider needs. */
export type ProvidingAgent = Pick<
  FleetFlagAgent,
  | 'ready'
  | 'isReady'
  | 'isClosed'
  | 'status'
  | 'inTouch'
  | 'onChange'
  | 'onContact'
  | 'onClose'
  | 'evaluate'
  | 'evaluationFailed'
  | 'track'
>;

/**
 * Provides an agent's flags to OpenFeature. The program starts and closes the agent, which may have several providers.
 *
 * - READY: there are flags, and the agent was in touch with the control plane within `staleAfterMs`.
 * - STALE: it was not in touch, or started with flags past their TTL. Flags are still evaluated.
 * - ERROR with PROVIDER_NOT_READY: there were no flags within `initializeTimeoutMs`. READY follows as soon as there are
 *   some. A provider whose agent was closed stays in this state, and programs get their own defaults.
 */
export class FleetFlagProvider implements Provider {
  readonly metadata = { name: 'fleetflag' };
  readonly runsOn = 'server';
  readonly hooks = [];
  readonly events = new OpenFeatureEventEmitter();
  readonly #agent: ProvidingAgent;
  readonly #initializeTimeoutMs: number;
  readonly #staleAfterMs: number;
  /** The functions that remove this provider's listeners from the agent. */
  #unsubscribes: (() => void)[] = [];
  /** Whether the SDK uses this provider: from `initialize` until `onClose`, or until the agent is closed. */
  #open = false;
  /** Whether STALE was announced, and READY not since. */
  #stale = false;
  #staleTimer: NodeJS.Timeout | undefined;
  /** The keys of the flags that have changed since the last event. */
  #changed = new Set<string>();

  /** @param agent an agent that the program has started or will start */
  constructor(
    agent: ProvidingAgent,
    { initializeTimeoutMs = 10_000, staleAfterMs = 60_000 }: FleetFlagProviderOptions = {},
  ) {
    this.#agent = agent;
    this.#initializeTimeoutMs = initializeTimeoutMs;
    this.#staleAfterMs = staleAfterMs;
  }

  /**
   * Resolves when there are flags. Rejects with ProviderNotReadyError where there are none in time, or the agent is
   * closed.
   */
  async initialize(): Promise<void> {
    this.#open = true;
    if (this.#agent.isClosed) throw new ProviderNotReadyError(CLOSED);
    const ready = this.#agent.ready().then(() => true);
    const message = `The agent got no flags within ${this.#initializeTimeoutMs} ms.`;
    const isReady = await withTimeout(this.#initializeTimeoutMs, message, () => ready).catch((error: unknown) => {
      if (error instanceof TimeoutError) return false;
      throw error;
    });
    if (!this.#open) return;
    if (this.#agent.isClosed) throw new ProviderNotReadyError(CLOSED);
    if (isReady) return this.#follow();
    const late = ready.then(() => {
      if (!this.#open) return;
      this.#follow();
      this.events.emit(ProviderEvents.Ready, {});
    });
    unattended(late, 'Becoming ready late');
    throw new ProviderNotReadyError(message);
  }

  /** Stops emitting events. The agent goes on. */
  async onClose(): Promise<void> {
    this.#forget();
  }

  #forget(): void {
    this.#open = false;
    clearTimeout(this.#staleTimer);
    for (const unsubscribe of this.#unsubscribes) unsubscribe();
    this.#unsubscribes = [];
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
   * Evaluates a JSON flag to a value of the same kind as the default: an object, a list, or a scalar. The value is not
   * checked against `T` any further.
   */
  async resolveObjectEvaluation<T extends JsonValue>(
    flagKey: string,
    defaultValue: T,
    context: EvaluationContext,
  ): Promise<ResolutionDetails<T>> {
    return this.#resolve(flagKey, typeof defaultValue, defaultValue, context);
  }

  /**
   * Records a measurement. `flagKey` in the details names the flag whose effect is measured. `value` is 1 where it is
   * absent: the event happened once. Any other text, number or boolean becomes a tag.
   *
   * @throws FleetFlagError as `FleetFlagAgent.track` does; the SDK logs it at the level debug
   */
  track(metric: string, _context: EvaluationContext, { value = 1, flagKey, ...others }: TrackingEventDetails): void {
    if (typeof flagKey !== 'string')
      throw new FleetFlagError(
        'BAD_USER_INPUT',
        `Tracking ${JSON.stringify(metric)} requires flagKey in its details: the flag that it is about.`,
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

  /** Resolves by the kind of the value and not the flag's type. OFREP knows no types, so both providers agree. */
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
    this.#agent.evaluationFailed(evaluated, errorMessage);
    return {
      value,
      reason,
      flagMetadata,
      ...(variant === undefined ? {} : { variant }),
      ...(errorCode === undefined ? {} : { errorCode: ErrorCode[errorCode], errorMessage }),
    };
  }

  #follow(): void {
    this.#unsubscribes = [
      this.#agent.onChange(({ key }) => this.#announce(key)),
      this.#agent.onContact((inTouch) => this.#contact(inTouch)),
      this.#agent.onClose(() => this.#agentClosed()),
    ];
    if (this.#agent.inTouch) return;
    // Even 0 waits for a turn of the event loop: the SDK first announces READY when `initialize` has resolved.
    this.#staleIn(this.#agent.status().staleFlags > 0 ? 0 : this.#staleAfterMs);
  }

  #contact(inTouch: boolean): void {
    clearTimeout(this.#staleTimer);
    if (!inTouch) return this.#staleIn(this.#staleAfterMs);
    if (!this.#stale) return;
    this.#stale = false;
    this.events.emit(ProviderEvents.Ready, { message: 'Connected to the control plane again.' });
  }

  #agentClosed(): void {
    this.#forget();
    this.events.emit(ProviderEvents.Error, { errorCode: ErrorCode.PROVIDER_NOT_READY, message: CLOSED });
  }

  #staleIn(milliseconds: number): void {
    if (this.#stale) return;
    this.#staleTimer = setTimeout(() => {
      this.#stale = true;
      this.events.emit(ProviderEvents.Stale, {
        message: 'No contact with the control plane; flags may be out of date.',
      });
    }, timerDelay(milliseconds)).unref();
  }

  /** Announces a change. Changes that the agent applies together make one event. */
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

const CLOSED = 'The agent has been closed; flags no longer change. Start a new agent and a provider for it.';

/**
 * Gives the context as OFREP would carry it. Dates become ISO 8601 text, and members that JSON cannot hold are left
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
