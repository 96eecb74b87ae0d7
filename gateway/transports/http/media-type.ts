/** In which media type an answer goes out, and what that means for its status (GraphQL over HTTP, "Media Types"). */
import Negotiator from 'negotiator';

const JSON_TYPE = 'application/json';
const GRAPHQL_TYPE = 'application/graphql-response+json';

const withCharset = (type: string) => `${type}; charset=utf-8`;

/**
 * The media type that a client prefers of those that there are, or null where it accepts neither. Clients such as
 * Apollo's read the body of a refusal only where it is `application/graphql-response+json`.
 *
 * @param accept the header field; without it the type is `application/json`
 */
export function acceptableType(accept: string | undefined): string | null {
  const preferred = new Negotiator({ headers: { accept } }).mediaType([JSON_TYPE, GRAPHQL_TYPE]);
  return preferred === undefined ? null : withCharset(preferred);
}

/** The media type of a refusal: a client that accepts neither is told in `application/json`. */
export function refusalType(accept: string | undefined): string {
  return acceptableType(accept) ?? withCharset(JSON_TYPE);
}

/**
 * Whether a client names `application/json` and prefers it: it takes only a 200 for an answer of GraphQL's, so what
 * GraphQL refuses in a document or its variables is one (GraphQL over HTTP, "application/json"). A client that names
 * neither type gets the statuses of docs/reference/errors.md.
 */
export function wantsPlainJson(accept: string | undefined): boolean {
  return (
    accept !== undefined &&
    accept.toLowerCase().includes(JSON_TYPE) &&
    acceptableType(accept) === withCharset(JSON_TYPE)
  );
}
