/**
 * Spans of OpenTelemetry, which show where a request has spent its time. They are off unless a process has called
 * `useTracing`: while they are off, nothing of OpenTelemetry is loaded, and a span costs one comparison.
 *
 * Names and attributes of spans hold nothing of a request's content: no VIN, no person, no variable, no text of an
 * operation.
 */

/** The header that carries the trace (W3C Trace Context). */
export const TRACE_HEADER = 'traceparent';

/** The attributes of a span. */
export type SpanAttributes = Readonly<Record<string, string | number>>;

/** The description of a span at its beginning. */
export interface SpanStart {
  readonly name: string;
  /** `server`: the work answers a request of another program; `client`: it waits for one; `internal`: neither. */
  readonly kind: 'server' | 'client' | 'internal';
  readonly attributes?: SpanAttributes;
  /** The `traceparent` of the request; by default the span that is under way. A malformed one counts as none. */
  readonly parent?: unknown;
}

/** Adds attributes to a span that is under way. */
export type NoteAttributes = (attributes: SpanAttributes) => void;

/** Runs work under the span that was under way when it was made. */
export type Resume = (work: () => void) => void;

/** An implementation of spans (main/tracing.ts). */
export interface Tracing {
  run<T>(span: SpanStart, work: (note: NoteAttributes) => Promise<T>): Promise<T>;
  traceparent(): string | null;
  resume(): Resume;
}

let present: Tracing | null = null;

const noteNothing: NoteAttributes = () => undefined;

/** Gives the spans of this process to `tracing`; null switches them off. */
export function useTracing(tracing: Tracing | null): void {
  present = tracing;
}

/** Whether spans are recorded. */
export function isTracing(): boolean {
  return present !== null;
}

/**
 * Runs `work` in a span, which ends when the promise settles.
 *
 * @param span is only called where spans are recorded
 */
export function traced<T>(span: () => SpanStart, work: (note: NoteAttributes) => Promise<T>): Promise<T> {
  return present === null ? work(noteNothing) : present.run(span(), work);
}

/**
 * Gives the `traceparent` of the span that is under way, for a request to another process; null where there is none.
 */
export function traceparent(): string | null {
  return present?.traceparent() ?? null;
}

/**
 * Gives a function that runs work under the span that is under way now, for work that begins in a callback of
 * something else; null where spans are not recorded.
 */
export function resumeTrace(): Resume | null {
  return present?.resume() ?? null;
}
