/** Persisted operations: GraphQL documents that clients run by id, and the manifests that register them. */
import { createHash } from 'node:crypto';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { Kind, parse } from 'graphql';
import { FleetFlagError, badInput } from '../../../core/errors.ts';
import type { JsonObject } from '../../../core/model.ts';
import { checkText, isJsonObject } from '../../../core/json/json-value.ts';

/** The kind of an operation. */
export const OPERATION_KINDS = ['query', 'mutation', 'subscription'] as const;
/** One of `OPERATION_KINDS`. */
export type OperationKind = (typeof OPERATION_KINDS)[number];

/** An operation as a manifest contains it. */
export interface ManifestOperation {
  readonly id: string;
  /** The SHA-256 of the body in UTF-8, in hexadecimal. */
  readonly sha256: string;
  readonly name: string;
  readonly type: OperationKind;
  readonly body: string;
}

/** A registered operation. */
export interface PersistedOperation extends ManifestOperation {
  readonly createdAt: Date;
}

/** A reason why the public API refuses a document. `limit` is set when the document is too large, to the limit. */
export interface OperationFault {
  readonly message: string;
  readonly limit?: number | undefined;
}

/** Checks whether clients could run a document: valid against the public schema, within the gateway's limits. */
export type CheckOperation = (body: string) => readonly OperationFault[];

/** The most operations of one manifest. */
export const MAX_OPERATIONS = 1_000;
/** The most bytes of one body. A document within the gateway's limits on fields and tokens is far shorter. */
export const MAX_BODY_BYTES = 64 * 1024;
const MAX_NAME = 100;

const ID = /^[\x21-\x7e]{1,128}$/;

/** Says whether an operation can have this id: PostgreSQL does not accept every string. */
export const isOperationId = (id: string) => ID.test(id);
/** The form of a SHA-256, also as GraphQL over HTTP writes it ("Persisted Documents"). */
const LOOKS_LIKE_SHA256 = /^(?:sha256:)?[0-9a-f]{64}$/i;

/** Computes the SHA-256 of a body, in hexadecimal. */
export function sha256Of(body: string): string {
  return createHash('sha256').update(body).digest('hex');
}

/** Gives the type and name of the one operation in a body; null when there is not exactly one. */
function operationIn(body: string): { type: OperationKind; name: string | null } | null {
  const operations = parse(body, { noLocation: true }).definitions.filter(
    (node) => node.kind === Kind.OPERATION_DEFINITION,
  );
  const [operation] = operations;
  return operation === undefined || operations.length > 1
    ? null
    : { type: operation.operation, name: operation.name?.value ?? null };
}

function textOf(value: unknown, path: string): string {
  if (typeof value !== 'string') throw badInput(path, 'Expected a string.');
  checkText(value, path);
  return value;
}

interface TextPlaces {
  readonly id: string;
  readonly body: string;
}

/**
 * Reads an operation from its id and text; the text gives type and name.
 *
 * @param at the places of both in the manifest
 */
function readText(
  id: string,
  body: string,
  check: CheckOperation,
  at: TextPlaces,
): Omit<ManifestOperation, 'name'> & { readonly name: string | null } {
  if (!isOperationId(id)) throw badInput(at.id, 'An id must have 1 to 128 printable ASCII characters and no space.');
  if (Buffer.byteLength(body) > MAX_BODY_BYTES) {
    throw new FleetFlagError('LIMIT_EXCEEDED', `A body may have at most ${MAX_BODY_BYTES} bytes.`, {
      field: at.body,
      limit: MAX_BODY_BYTES,
    });
  }
  const [fault] = check(body);
  if (fault !== undefined) {
    throw fault.limit === undefined
      ? badInput(at.body, fault.message)
      : new FleetFlagError('LIMIT_EXCEEDED', fault.message, { field: at.body, limit: fault.limit });
  }
  const operation = operationIn(body);
  if (operation === null) throw badInput(at.body, 'A body must have exactly one operation, with its fragments.');
  const sha256 = sha256Of(body);
  // Callers name operations by id or by SHA-256, so an id that looks like another operation's SHA-256 must not lead
  // elsewhere.
  if (LOOKS_LIKE_SHA256.test(id) && id.replace('sha256:', '') !== sha256)
    throw badInput(at.id, `An id that looks like a SHA-256 must be the body's own, in lower case: ${sha256}.`);
  return { id, sha256, body, ...operation };
}

/** Reads an entry of Apollo's manifest, which gives type and name as well. */
function readEntry(entry: unknown, path: string, check: CheckOperation): ManifestOperation {
  if (!isJsonObject(entry)) throw badInput(path, 'An operation must be an object with id, name, type and body.');
  const id = textOf(entry['id'], `${path}.id`);
  const name = textOf(entry['name'], `${path}.name`);
  if (name.length > MAX_NAME) throw badInput(`${path}.name`, `A name must have at most ${MAX_NAME} characters.`);
  const type = textOf(entry['type'], `${path}.type`);
  const operation = readText(id, textOf(entry['body'], `${path}.body`), check, {
    id: `${path}.id`,
    body: `${path}.body`,
  });
  if (operation.name !== name)
    throw badInput(
      `${path}.name`,
      `The name ${JSON.stringify(name)} does not match the body's operation, which ${operation.name === null ? 'has no name' : `is called ${operation.name}`}.`,
    );
  if (operation.type !== type)
    throw badInput(`${path}.type`, `The type does not match the body's operation, which is a ${operation.type}.`);
  return { ...operation, name };
}

/** Reads a text under its id, as in the files of Relay's compiler and of GraphQL Code Generator. */
function readPair(id: string, text: unknown, check: CheckOperation): ManifestOperation {
  const path = `manifest.${id}`;
  const operation = readText(id, textOf(text, path), check, { id: path, body: path });
  const { name } = operation;
  if (name === null || name.length > MAX_NAME)
    throw badInput(path, `The operation must have a name of 1 to ${MAX_NAME} characters.`);
  return { ...operation, name };
}

const isMap = (manifest: JsonObject) =>
  ['format', 'version', 'operations'].every((member) => manifest[member] === undefined) &&
  Object.keys(manifest).length > 0;

/** Gives the dotted path of the id of the operation at `index`. */
export function idField(manifest: unknown, index: number, id: string): string {
  return isJsonObject(manifest) && isMap(manifest) ? `manifest.${id}` : `manifest.operations.${index}.id`;
}

/** Gives a reader for each operation of a manifest, in its order. */
function readersOf(manifest: JsonObject, check: CheckOperation): (() => ManifestOperation)[] {
  if (isMap(manifest))
    return Object.entries(manifest).map(
      ([id, text]) =>
        () =>
          readPair(id, text, check),
    );
  if (manifest['format'] !== 'apollo-persisted-query-manifest') {
    throw badInput(
      'manifest.format',
      'Expected the format "apollo-persisted-query-manifest", or an object of texts by their ids as Relay and GraphQL Code Generator write it.',
    );
  }
  if (manifest['version'] !== 1) throw badInput('manifest.version', 'Expected version 1.');
  const entries: unknown = manifest['operations'];
  if (!Array.isArray(entries)) throw badInput('manifest.operations', 'operations must be a list.');
  return entries.map((entry, index) => () => readEntry(entry, `manifest.operations.${index}`, check));
}

/**
 * Reads a manifest as `@apollo/generate-persisted-query-manifest` writes it, or as Relay's compiler
 * (`persistConfig.file`) and GraphQL Code Generator's client preset (`persistedDocuments`) do. Of Apollo's form, only
 * format, version and each operation's id, name, type and body are read. Yields to the event loop between two
 * operations.
 *
 * Formats: https://www.apollographql.com/docs/graphos/platform/security/persisted-queries,
 * https://relay.dev/docs/guides/persisted-queries/, https://the-guild.dev/graphql/codegen/plugins/presets/preset-client
 *
 * @throws BAD_USER_INPUT or LIMIT_EXCEEDED at the dotted path of the first fault (`manifest.operations.3.body`)
 */
export async function readOperationManifest(manifest: unknown, check: CheckOperation): Promise<ManifestOperation[]> {
  if (!isJsonObject(manifest)) throw badInput('manifest', 'A manifest must be an object.');
  const readers = readersOf(manifest, check);
  if (readers.length > MAX_OPERATIONS) {
    throw new FleetFlagError('LIMIT_EXCEEDED', `A manifest may have at most ${MAX_OPERATIONS} operations.`, {
      field: isMap(manifest) ? 'manifest' : 'manifest.operations',
      limit: MAX_OPERATIONS,
    });
  }
  const operations = new Map<string, ManifestOperation>();
  for (const [index, read] of readers.entries()) {
    const operation = read();
    if (operations.has(operation.id))
      throw badInput(idField(manifest, index, operation.id), 'This id is in the manifest twice.');
    operations.set(operation.id, operation);
    await nextTurn();
  }
  return [...operations.values()];
}
