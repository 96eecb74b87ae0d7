/**
 * Traces of OpenTelemetry, sent as OTLP over HTTP. This module is loaded only where a receiver is configured. Nothing
 * is registered globally: libraries that would add spans of their own, some with texts of operations, add none.
 */
import { AsyncLocalStorage } from 'node:async_hooks';
import {
  ROOT_CONTEXT,
  SpanKind,
  SpanStatusCode,
  defaultTextMapGetter,
  defaultTextMapSetter,
  trace,
  type Context,
} from '@opentelemetry/api';
import { ExportResultCode, W3CTraceContextPropagator } from '@opentelemetry/core';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http';
import { resourceFromAttributes } from '@opentelemetry/resources';
import {
  BasicTracerProvider,
  BatchSpanProcessor,
  ParentBasedSampler,
  TraceIdRatioBasedSampler,
  type SpanExporter,
} from '@opentelemetry/sdk-trace-base';
import type { Logger } from 'pino';
import { FleetFlagError } from '../core/errors.ts';
import {
  TRACE_HEADER,
  useTracing,
  type NoteAttributes,
  type SpanStart,
  type Tracing,
} from '../core/monitoring/tracing.ts';
import type { TracingSettings } from './configuration.ts';
import type { Lifecycle } from './process/lifecycle.ts';

/** Milliseconds that an export may take; a stop waits for the last one. */
const EXPORT_TIMEOUT_MS = 3_000;
/** Spans that wait for an export; more are dropped. */
const MAX_WAITING_SPANS = 4_096;

const noteNothing: NoteAttributes = () => undefined;

const KINDS = { server: SpanKind.SERVER, client: SpanKind.CLIENT, internal: SpanKind.INTERNAL } as const;

/** Says in the log when exports begin to fail, and when they succeed again. */
function reporting(exporter: SpanExporter, logger: Pick<Logger, 'warn' | 'info'>): SpanExporter {
  let isFailing = false;
  return {
    export(spans, done) {
      exporter.export(spans, (result) => {
        const hasFailed = result.code !== ExportResultCode.SUCCESS;
        if (hasFailed && !isFailing)
          logger.warn({ err: result.error }, 'Cannot send traces; dropping them until the receiver takes them again');
        if (!hasFailed && isFailing) logger.info('Can send traces again');
        isFailing = hasFailed;
        done(result);
      });
    },
    shutdown: () => exporter.shutdown(),
    ...(exporter.forceFlush !== undefined && { forceFlush: () => exporter.forceFlush!() }),
  };
}

/** Names a failure without its message, which may hold what a caller has sent. */
function errorType(error: unknown): string {
  if (error instanceof FleetFlagError) return error.code;
  return error instanceof Error ? error.name : 'Error';
}

/** Records spans as children of those that are under way. */
class RecordedTraces implements Tracing {
  readonly #underWay = new AsyncLocalStorage<Context>();
  readonly #propagator = new W3CTraceContextPropagator();

  constructor(private readonly provider: BasicTracerProvider) {}

  async run<T>({ name, kind, attributes, parent }: SpanStart, work: (note: NoteAttributes) => Promise<T>): Promise<T> {
    const underWay = this.#underWay.getStore();
    // Only a request of another program begins a trace. Otherwise each poll of a process would be a trace.
    if (kind !== 'server' && underWay === undefined) return work(noteNothing);
    const above =
      typeof parent === 'string'
        ? this.#propagator.extract(ROOT_CONTEXT, { [TRACE_HEADER]: parent }, defaultTextMapGetter)
        : (underWay ?? ROOT_CONTEXT);
    const span = this.provider
      .getTracer('fleetflag')
      .startSpan(name, { kind: KINDS[kind], ...(attributes !== undefined && { attributes }) }, above);
    try {
      return await this.#underWay.run(trace.setSpan(above, span), () =>
        work((further) => void span.setAttributes(further)),
      );
    } catch (error) {
      span.setAttribute('error.type', errorType(error));
      span.setStatus({ code: SpanStatusCode.ERROR });
      throw error;
    } finally {
      span.end();
    }
  }

  traceparent(): string | null {
    const carrier: Record<string, string> = {};
    this.#propagator.inject(this.#underWay.getStore() ?? ROOT_CONTEXT, carrier, defaultTextMapSetter);
    return carrier[TRACE_HEADER] ?? null;
  }

  resume() {
    const context = this.#underWay.getStore() ?? ROOT_CONTEXT;
    return (work: () => void) => this.#underWay.run(context, work);
  }
}

/**
 * Begins to record spans; spans that wait are sent when `lifecycle` closes.
 *
 * @param role the name of the process, such as `gateway`
 */
export function openTracing(
  { endpoint, headers, ratio }: TracingSettings,
  role: string,
  lifecycle: Lifecycle,
  logger: Logger,
): void {
  const exporter = new OTLPTraceExporter({
    url: `${endpoint.replace(/\/+$/, '')}/v1/traces`,
    headers: { ...headers },
    timeoutMillis: EXPORT_TIMEOUT_MS,
  });
  const provider = new BasicTracerProvider({
    resource: resourceFromAttributes({ 'service.name': `fleetflag-${role}`, 'service.namespace': 'fleetflag' }),
    sampler: new ParentBasedSampler({ root: new TraceIdRatioBasedSampler(ratio) }),
    spanProcessors: [
      new BatchSpanProcessor(reporting(exporter, logger), {
        maxQueueSize: MAX_WAITING_SPANS,
        exportTimeoutMillis: EXPORT_TIMEOUT_MS,
      }),
    ],
  });
  useTracing(new RecordedTraces(provider));
  lifecycle.onClose(async () => {
    useTracing(null);
    // A receiver that is down must not make an orderly stop a failed one.
    await provider
      .shutdown()
      .catch((err: unknown) => logger.warn({ err }, 'Cannot send the last traces; they are lost'));
  });
}
