/**
 * An HTTP request for `/graphql` in the form that Apollo Server takes, and with a persisted operation's text put in.
 */
import { HeaderMap, type HTTPGraphQLRequest } from '@apollo/server';
import type { FastifyRequest } from 'fastify';
import { badInput } from '../../../core/errors.ts';
import { isObject, membersOf, type Members } from '../../../core/json/json-value.ts';
import { NAMING_MEMBERS, type NamingRequest } from '../../operations/persisted-operations/operation-reference.ts';

/** What names the operation has been understood, and Apollo Server has no persisted queries of its own. */
function withoutName(extensions: unknown): Members | undefined {
  if (!isObject(extensions)) return undefined;
  const { persistedQuery: _, ...others } = extensions;
  return others;
}

function jsonIn(params: URLSearchParams, name: string): unknown {
  const text = params.get(name);
  if (text === null) return undefined;
  try {
    return JSON.parse(text);
  } catch {
    throw badInput(name, `The query parameter ${name} must be JSON.`);
  }
}

export class OperationCall {
  readonly #body: unknown;
  readonly #params: URLSearchParams;
  #naming: NamingRequest | undefined;

  constructor(private readonly request: FastifyRequest) {
    this.#body = request.body;
    const at = request.url.indexOf('?');
    this.#params = new URLSearchParams(at < 0 ? '' : request.url.slice(at));
  }

  /**
   * The members by which the request may name a persisted operation. Throws BAD_USER_INPUT for what is not JSON or
   * given twice.
   */
  get naming(): NamingRequest {
    return (this.#naming ??= this.#readNaming());
  }

  #readNaming(): NamingRequest {
    if (this.request.method !== 'GET') return membersOf(this.#body);
    for (const name of ['query', ...NAMING_MEMBERS]) {
      if (this.#params.getAll(name).length > 1)
        throw badInput(name, `The query parameter ${name} must be sent only once.`);
    }
    return {
      query: this.#params.get('query'),
      id: this.#params.get('id'),
      documentId: this.#params.get('documentId'),
      extensions: jsonIn(this.#params, 'extensions'),
    };
  }

  /** The variables of a GET; null when they are not the object that they have to be. */
  get variables(): Members | null {
    const variables = jsonIn(this.#params, 'variables') ?? {};
    return isObject(variables) ? variables : null;
  }

  /** @param text of the persisted operation that the request names; null where it brings its own */
  forApollo(text: string | null): HTTPGraphQLRequest {
    const { method } = this.request;
    const headers = new HeaderMap();
    for (const [name, value] of Object.entries(this.request.headers)) {
      if (value !== undefined) headers.set(name, Array.isArray(value) ? value.join(', ') : value);
    }
    const params = new URLSearchParams(this.#params);
    if (text === null) return { method, headers, search: `?${params}`, body: this.#body };
    if (method !== 'GET') {
      const { id: _, documentId: __, extensions, ...others } = membersOf(this.#body);
      return {
        method,
        headers,
        search: '',
        body: { ...others, query: text, extensions: withoutName(extensions) ?? null },
      };
    }
    params.set('query', text);
    for (const name of NAMING_MEMBERS) params.delete(name);
    return { method, headers, search: `?${params}`, body: undefined };
  }
}
