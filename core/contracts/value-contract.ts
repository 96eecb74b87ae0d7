/**
 * Value contracts: a JSON Schema (2020-12) on a flag, which each value that it could serve fits. A schema is read once
 * and then checks values. The server reads it when it is written, and the vehicle when a definition arrives; both
 * refuse what they do not know. Nothing here makes code of text, which vehicles and pages forbid. Source: releases.md,
 * "Value contracts"; the choice of the keywords: docs/decisions/flags/value-contracts.md.
 */
import { FleetFlagError, badInput } from '../errors.ts';
import { canonicalJson } from '../json/canonical-json.ts';
import { MAX_JSON_DEPTH, checkJson, isObject, type Members } from '../json/json-value.ts';
import type { JsonObject, JsonValue } from '../model.ts';
import { CHECKERS, KEYWORDS, firstFault, type ValueCheck, type SchemaReader } from './keywords.ts';

/** The most bytes of a schema as canonical JSON (RFC 8785) in UTF-8. */
export const MAX_SCHEMA_BYTES = 16 * 1024;
/** The most schemas within each other, the outermost included. */
const MAX_SCHEMA_DEPTH = 10;

/** The fault of a value that is outside its contract. */
export interface ValueFault {
  /** The dotted path within the value, such as `limits.0`; empty for the value itself. */
  readonly path: string;
  readonly message: string;
}

/** A schema that has been read. */
export interface ValueContract {
  /** Gives the first fault of a value, which may be anything; null where it fits. Never throws. */
  faultOf(value: unknown): ValueFault | null;
}

/**
 * Reads a schema.
 *
 * @param schema an object of the known keywords; any value
 * @param path the dotted path at which faults are reported, such as `input.valueSchema`
 * @throws BAD_USER_INPUT at the path of the first fault, such as `input.valueSchema.properties.speed.pattern`;
 *   LIMIT_EXCEEDED for more than 16,384 bytes as canonical JSON, or more than 10 schemas within each other
 */
export function readValueContract(schema: unknown, path: string): ValueContract {
  if (!isObject(schema)) throw badInput(path, 'A value schema must be a JSON object; null is none.');
  // The depth is checked before the JSON: nothing below walks further than it.
  const check = readSchema(schema, path, 1);
  checkJson(schema, path);
  checkSize(schema, path);
  return {
    faultOf: (value) => (isCheckable(value, 0) ? check(value, '') : { path: '', message: 'must be JSON.' }),
  };
}

/** Checks a schema as `readValueContract` does, and gives it as it is stored. Gives null for null and undefined. */
export function validateValueSchema(schema: unknown, path: string): JsonObject | null {
  if (schema === null || schema === undefined) return null;
  readValueContract(schema, path);
  // oxlint-disable-next-line typescript/consistent-type-assertions -- readValueContract refuses everything but a JSON object
  return schema as JsonObject;
}

function readSchema(schema: unknown, path: string, depth: number): ValueCheck {
  if (depth > MAX_SCHEMA_DEPTH)
    throw new FleetFlagError('LIMIT_EXCEEDED', `At most ${MAX_SCHEMA_DEPTH} schemas may be within each other.`, {
      field: path,
      limit: MAX_SCHEMA_DEPTH,
    });
  if (schema === true) return () => null;
  if (schema === false) return (_, at) => ({ path: at, message: 'must not be there.' });
  if (!isObject(schema)) throw badInput(path, 'A schema must be an object, true or false.');
  const unknown = Object.keys(schema).find((keyword) => !CHECKERS.has(keyword));
  if (unknown !== undefined)
    throw badInput(`${path}.${unknown}`, `Unknown keyword; expected one of ${KEYWORDS.join(', ')}.`);
  const read: SchemaReader = (inner, at) => readSchema(inner, at, depth + 1);
  const checks = checksOf(schema, path, read);
  return (value, at) => firstFault(checks, (check) => check(value, at));
}

function checksOf(schema: Members, path: string, read: SchemaReader): ValueCheck[] {
  return [...CHECKERS].flatMap(([keyword, checker]) =>
    Object.hasOwn(schema, keyword) ? [checker(schema[keyword], `${path}.${keyword}`, read, schema)] : [],
  );
}

function checkSize(schema: Members, path: string): void {
  if (new TextEncoder().encode(canonicalJson(schema)).length > MAX_SCHEMA_BYTES)
    throw new FleetFlagError('LIMIT_EXCEEDED', `A value schema may have at most ${MAX_SCHEMA_BYTES} bytes as JSON.`, {
      field: path,
      limit: MAX_SCHEMA_BYTES,
    });
}

/**
 * Says whether a value is JSON that is no deeper than stored values are, with finite numbers: what the checks rely on.
 */
function isCheckable(value: unknown, depth: number): value is JsonValue {
  if (value === null || typeof value === 'boolean' || typeof value === 'string') return true;
  if (typeof value === 'number') return Number.isFinite(value);
  if (typeof value !== 'object' || depth === MAX_JSON_DEPTH) return false;
  return Object.values(value).every((member) => isCheckable(member, depth + 1));
}
