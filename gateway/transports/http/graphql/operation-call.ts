/**
 * Reads an HTTP request for `/graphql` into the form that the pipeline expects or, with the text of a persisted
 * operation inserted, into the form that Apollo Server expects.
 */
import { HeaderMap, type HTTPGraphQLRequest } from '@apollo/server';
import type { FastifyRequest } from 'fastify';
import { LRUCache } from 'lru-cache';
import { badInput } from '../../../../core/errors.ts';
import { isObject, membersOf, type Members } from '../../../../core/json/json-value.ts';
import type { SentOperation } from '../../../operations/checked-operation.ts';
import { NAMING_MEMBERS, type NamingRequest } from '../../../operations/persisted-operations/operation-reference.ts';

/** The query parameters of an operation. */
const PARAMETERS = ['query', 'operationName', 'variables', 'extensions'] as const;

/** Gives the extensions without the persisted query, which Apollo Server would refuse: the gateway has resolved it. */
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

function variablesIn(params: URLSearchParams): Members {
  const variables = jsonIn(params, 'variables') ?? {};
  if (!isObject(variables)) throw badInput('variables', 'The query parameter variables must be a JSON object.');
  return variables;
}

/** The query parameters of a GET. */
class QueryParameters {
  readonly params: URLSearchParams;
  #naming: NamingRequest | undefined;
  #sent: SentOperation | null = null;

  constructor(url: string) {
    const at = url.indexOf('?');
    this.params = new URLSearchParams(at < 0 ? '' : url.slice(at));
  }

  get naming(): NamingRequest {
    return (this.#naming ??= this.#readNaming());
  }

  #readNaming(): NamingRequest {
    for (const name of ['query', ...NAMING_MEMBERS]) {
      if (this.params.getAll(name).length > 1)
        throw badInput(name, `The query parameter ${name} must be sent only once.`);
    }
    return {
      query: this.params.get('query'),
      id: this.params.get('id'),
      documentId: this.params.get('documentId'),
      extensions: jsonIn(this.params, 'extensions'),
    };
  }

  /** See OperationCall. */
  sent(named: string | null): SentOperation | null {
    const { params } = this;
    if (PARAMETERS.some((name) => params.getAll(name).length > 1)) return null;
    const text = named ?? params.get('query');
    if (text === null || (named === null && params.has('extensions'))) return null;
    if (this.#sent?.text === text) return this.#sent;
    const variables = params.get('variables');
    return (this.#sent = {
      text,
      operationName: params.get('operationName') ?? undefined,
      variables: { text: () => variables ?? '{}', value: () => variablesIn(params) },
    });
  }
}

/** The most characters of all kept queries, and of one. */
const MAX_QUERIES_LENGTH = 4 * 1024 * 1024;
const MAX_QUERY_LENGTH = 16 * 1024;
/** Partners ask the same again and again. */
const queries = new LRUCache<string, QueryParameters>({
  maxSize: MAX_QUERIES_LENGTH,
  maxEntrySize: MAX_QUERY_LENGTH,
  // The text, its parameters, and what they are kept in.
  sizeCalculation: (_query, url) => 3 * url.length + 500,
});

function queryOf({ method, url }: FastifyRequest): QueryParameters {
  if (method !== 'GET') return new QueryParameters(url);
  let query = queries.get(url);
  if (query === undefined) queries.set(url, (query = new QueryParameters(url)));
  return query;
}

/** A call of an operation by an HTTP request. */
export class OperationCall {
  readonly #body: unknown;
  readonly #query: QueryParameters;

  constructor(private readonly request: FastifyRequest) {
    this.#body = request.body;
    this.#query = queryOf(request);
  }

  /**
   * The members by which the request may name a persisted operation. Throws BAD_USER_INPUT where one is not JSON or is
   * given twice.
   */
  get naming(): NamingRequest {
    return this.request.method === 'GET' ? this.#query.naming : membersOf(this.#body);
  }

  /** Throws BAD_USER_INPUT where the variables of a GET are not JSON. */
  checkVariables(): void {
    jsonIn(this.#query.params, 'variables');
  }

  /**
   * Gives the operation in the pipeline's form; null for a request that only Apollo Server can answer, such as one that
   * it refuses.
   *
   * @param text the text of the persisted operation that the request names; null where the request has its own
   */
  sent(text: string | null): SentOperation | null {
    if (this.request.method !== 'GET') return this.#sentByPost(text);
    return this.request.headers['content-type'] === undefined ? this.#query.sent(text) : null;
  }

  #sentByPost(named: string | null): SentOperation | null {
    const { query, operationName, variables, extensions } = membersOf(this.#body);
    const text = named ?? query;
    if (typeof text !== 'string') return null;
    if (operationName != null && typeof operationName !== 'string') return null;
    if (variables != null && !isObject(variables)) return null;
    if (named === null && extensions != null && !isObject(extensions)) return null;
    const value = variables ?? {};
    return {
      text,
      operationName: operationName ?? undefined,
      variables: { text: () => JSON.stringify(value), value: () => value },
    };
  }

  /**
   * Gives the request in Apollo Server's form.
   *
   * @param text the text of the persisted operation that the request names; null where the request has its own
   */
  forApollo(text: string | null): HTTPGraphQLRequest {
    const { method } = this.request;
    const headers = new HeaderMap();
    for (const [name, value] of Object.entries(this.request.headers)) {
      if (value !== undefined) headers.set(name, Array.isArray(value) ? value.join(', ') : value);
    }
    const params = new URLSearchParams(this.#query.params);
    if (text === null) return { method, headers, search: `?${params.toString()}`, body: this.#body };
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
    return { method, headers, search: `?${params.toString()}`, body: undefined };
  }
}
