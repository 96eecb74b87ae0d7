/** The fault of an operation, by the catalogue of errors (docs/reference/errors.md). */
import type { CombinedError } from '@urql/core';
import { membersOf } from '../json.ts';

export const FAULT_CODES = [
  'UNAUTHENTICATED',
  'FORBIDDEN',
  'BAD_USER_INPUT',
  'NOT_FOUND',
  'CONFLICT',
  'LIMIT_EXCEEDED',
  'RATE_LIMITED',
  'PERSISTED_QUERY_NOT_FOUND',
  'PERSISTED_QUERY_REQUIRED',
  'SERVICE_UNAVAILABLE',
  'INTERNAL_SERVER_ERROR',
  // This code is the console's own, for a request without an answer; the catalogue does not have it.
  'UNREACHABLE',
] as const;
export type FaultCode = (typeof FAULT_CODES)[number];

/** A fault as pages show it: its code, its message and the place in the input. */
export interface Fault {
  readonly code: FaultCode;
  /** The control plane's own words, in English; empty where it did not answer. */
  readonly message: string;
  /** The dotted path of what is wrong in the input. */
  readonly field: string | null;
  /** Seconds. */
  readonly retryAfter: number | null;
  readonly requestId: string | null;
}

/** No answer came. */
export const NO_ANSWER: Fault = {
  code: 'UNREACHABLE',
  message: '',
  field: null,
  retryAfter: null,
  requestId: null,
};

/** Gives the fault of a failed operation. */
export function faultOf(error: CombinedError): Fault {
  const [first] = error.graphQLErrors;
  if (first === undefined) return NO_ANSWER;
  const { code, field, retryAfter, requestId } = membersOf(first.extensions);
  return {
    code: FAULT_CODES.find((known) => known === code) ?? 'INTERNAL_SERVER_ERROR',
    message: first.message,
    field: typeof field === 'string' ? field : null,
    retryAfter: typeof retryAfter === 'number' ? retryAfter : null,
    requestId: typeof requestId === 'string' ? requestId : null,
  };
}

/** Gives what the control plane says about each of these paths of the input; null where it finds no fault there. */
export function faultsAt(fault: Fault | null, ...paths: readonly string[]): readonly (string | null)[] {
  return paths.map((path) => (fault?.field === path ? fault.message : null));
}
