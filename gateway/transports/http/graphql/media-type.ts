/** The media type of an answer, and its consequence for the status (GraphQL over HTTP, "Media Types"). */
import { boundedCache } from '../../../../core/bounded-cache.ts';
import Negotiator from 'negotiator';

const JSON_TYPE = 'application/json';
const GRAPHQL_TYPE = 'application/graphql-response+json';

/** Clients send the same few header fields. */
const preferences = boundedCache<string, { readonly type: string | null }>(100);
const MAX_ACCEPT_LENGTH = 200;

const withCharset = (type: string) => `${type}; charset=utf-8`;

/**
 * Gives the media type that a client prefers of the two that exist; null where it accepts neither. Clients such as
 * Apollo's read the body of a refusal only where it is `application/graphql-response+json`.
 *
 * @param accept the header field; without it the type is `application/json`
 */
export function acceptableType(accept: string | undefined): string | null {
  if (accept === undefined) return withCharset(JSON_TYPE);
  let known = preferences.get(accept);
  if (known === undefined) {
    const preferred = new Negotiator({ headers: { accept } }).mediaType([JSON_TYPE, GRAPHQL_TYPE]);
    known = { type: preferred === undefined ? null : withCharset(preferred) };
    if (accept.length <= MAX_ACCEPT_LENGTH) preferences.set(accept, known);
  }
  return known.type;
}

/** Gives the media type of a refusal: `application/json` for a client that accepts neither type. */
export function refusalType(accept: string | undefined): string {
  return acceptableType(accept) ?? withCharset(JSON_TYPE);
}

/**
 * Says whether a client names `application/json` and prefers it. Such a client recognises an answer of GraphQL only by
 * status 200, so it gets 200 even where GraphQL refuses the document or its variables (GraphQL over HTTP,
 * "application/json"). A client that names neither type gets the statuses of docs/reference/errors.md.
 */
export function wantsPlainJson(accept: string | undefined): boolean {
  return (
    accept !== undefined &&
    accept.toLowerCase().includes(JSON_TYPE) &&
    acceptableType(accept) === withCharset(JSON_TYPE)
  );
}
