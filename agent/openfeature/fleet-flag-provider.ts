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
} from '@openfeature/server-sdk';
import { unattended } from '../../core/async/unattended.ts';
import type { EvaluationDetails } from '../api/evaluation-details.ts';
import { readFlatContext } from '../api/flat-context.ts';
import type { ProgramContext } from '../evaluate/flag-evaluator.ts';
import type { FleetFlagAgent } from '../fleet-flag-agent.ts';

export interface FleetFlagProviderOptions {
  /** Milliseconds that `initialize` waits for flags, from the file or the network: 10 s. */
  readonly initializeTimeoutMs?: number;
  /** Milliseconds without contact to the control plane until the provider is STALE: 1 minute. */
  readonly staleAfterMs?: number;
}

/** What the provider needs of the agent. */
export type ProvidingAgent = Pick<
  FleetFlagAgent,
  'ready' | 'status' | 'inTouch' | 'onChange' | 'onContact' | 'booleanDetails' | 'stringDetails' | 'numberDetails' | 'jsonDetails'
>;

/**
 * The agent stays its program's, which starts and closes it; an agent may have several providers.
 *
 * - READY: there are flags, and the control plane was in touch within `staleAfterMs`.
 * - STALE: it was not, or the agent starts with flags past their TTL. Flags are evaluated all the same.
 * - ERROR with PROVIDER_NOT_READY: no flags within `initializeTimeoutMs`. READY follows as soon as there are some.
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
  constructor(agent: ProvidingAgent, { initializeTimeoutMs = 10_000, staleAfterMs = 60_000 }: FleetFlagProviderOptions = {}) {
    this.#agent = agent;
    this.#initializeTimeoutMs = initializeTimeoutMs;
    this.#staleAfterMs = staleAfterMs;
  }

  /** Resolves once there are flags. Rejects with ProviderNotReadyError where there are none in time. */
  async initialize(): Promise<void> {
    this.#open = true;
    const ready = this.#agent.ready().then(() => true);
    let timer: NodeJS.Timeout | undefined;
    const inTime = await Promise.race([ready, new Promise<false>((resolve) => (timer = setTimeout(() => resolve(false), this.#initializeTimeoutMs)))]);
    clearTimeout(timer);
    if (!this.#open) return;
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
    this.#open = false;
    clearTimeout(this.#staleTimer);
    for (const end of this.#endings) end();
    this.#endings = [];
  }

  async resolveBooleanEvaluation(flagKey: string, defaultValue: boolean, context: EvaluationContext): Promise<ResolutionDetails<boolean>> {
    return resolution(defaultValue, context, (program) => this.#agent.booleanDetails(flagKey, defaultValue, program));
  }

  async resolveStringEvaluation(flagKey: string, defaultValue: string, context: EvaluationContext): Promise<ResolutionDetails<string>> {
    return resolution(defaultValue, context, (program) => this.#agent.stringDetails(flagKey, defaultValue, program));
  }

  async resolveNumberEvaluation(flagKey: string, defaultValue: number, context: EvaluationContext): Promise<ResolutionDetails<number>> {
    return resolution(defaultValue, context, (program) => this.#agent.numberDetails(flagKey, defaultValue, program));
  }

  /** A flag of type json; its value is not checked against `T`. */
  async resolveObjectEvaluation<T extends JsonValue>(flagKey: string, defaultValue: T, context: EvaluationContext): Promise<ResolutionDetails<T>> {
    return resolution(defaultValue, context, (program) => this.#agent.jsonDetails(flagKey, defaultValue, program) as EvaluationDetails<T>);
  }

  #follow(): void {
    this.#endings = [
      this.#agent.onChange(({ key }) => this.#announce(key)),
      this.#agent.onContact((inTouch) => this.#contact(inTouch)),
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

  #staleIn(milliseconds: number): void {
    if (this.#stale) return;
    this.#staleTimer = setTimeout(() => {
      this.#stale = true;
      this.events.emit(ProviderEvents.Stale, { message: 'The control plane is out of touch.' });
    }, milliseconds).unref();
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

function resolution<T>(defaultValue: T, context: EvaluationContext, evaluate: (program: ProgramContext) => EvaluationDetails<T>): ResolutionDetails<T> {
  const read = readContext(context);
  if ('errorCode' in read) return { value: defaultValue, reason: 'ERROR', errorCode: ErrorCode.INVALID_CONTEXT, errorMessage: read.errorDetails };
  const { value, reason, variant, errorCode, errorMessage, flagMetadata } = evaluate(read.program);
  return {
    value,
    reason,
    flagMetadata,
    ...(variant === undefined ? {} : { variant }),
    ...(errorCode === undefined ? {} : { errorCode: ErrorCode[errorCode], errorMessage }),
  };
}

/** A context may hold dates: they become ISO 8601 text, as they would over OFREP. */
function readContext(context: EvaluationContext): ReturnType<typeof readFlatContext> {
  try {
    return readFlatContext(JSON.parse(JSON.stringify(context)) as JsonValue);
  } catch {
    return { errorCode: 'INVALID_CONTEXT', errorDetails: 'The context cannot be written as JSON.' };
  }
}
