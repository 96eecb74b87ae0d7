/** Reads the messages of graphql-transport-ws that clients send. */
import { MessageType, validateMessage, type Message } from 'graphql-ws';
import { isObject, membersOf } from '../../../../core/json/json-value.ts';
import { isNestedDeeper } from '../../../../core/json/nesting.ts';
import { OPERATION_LIMITS } from '../../../operations/limits/operation-limits.ts';
import { NAMING_MEMBERS } from '../../../operations/persisted-operations/operation-reference.ts';

/** The message that agents send when they have sent nothing for a while, as graphql-ws writes it. */
const BARE_PING = Buffer.from('{"type":"ping"}');

/** Says whether a message is a ping without a payload. Such pings are most messages of a fleet, and need no parsing. */
export function isBarePing(data: Buffer): boolean {
  return data.length === BARE_PING.length && data.equals(BARE_PING);
}

/**
 * Reads a message. The protocol wants a text in each subscribe message, although it leaves room for operations that are
 * named instead: a client that names one need not send an empty text as well. Throws for what is not a message.
 */
export function readMessage(text: string): Message {
  if (isNestedDeeper(text, OPERATION_LIMITS.jsonDepth)) throw new Error('The message is nested too deeply.');
  const message: unknown = JSON.parse(text);
  const { type, payload } = membersOf(message);
  if (type === MessageType.Subscribe && isObject(payload) && NAMING_MEMBERS.some((name) => payload[name] != null))
    Object.assign(payload, { query: payload['query'] ?? '' });
  return validateMessage(message);
}
