import type { IncomingMessage } from 'node:http';
import { describe, expect, test } from '@jest/globals';
import { acceptance, readHandshake } from './handshake.ts';

const KEY = 'dGhlIHNhbXBsZSBub25jZQ==';
const HEADERS = { upgrade: 'websocket', 'sec-websocket-key': KEY, 'sec-websocket-version': '13' };
const read = (headers: Record<string, string | undefined>, method = 'GET') =>
  readHandshake({ method, headers: { ...HEADERS, ...headers } } as unknown as IncomingMessage);

describe('a handshake', () => {
  test.each<[string | undefined, string[]]>([
    [undefined, []],
    ['graphql-transport-ws', ['graphql-transport-ws']],
    ['a, graphql-transport-ws ,b', ['a', 'graphql-transport-ws', 'b']],
  ])('offers the protocols %j', (protocols, expected) => {
    expect(read({ 'sec-websocket-protocol': protocols, upgrade: 'WebSocket' })).toEqual({
      key: KEY,
      protocols: expected,
    });
    expect(read({ 'sec-websocket-protocol': protocols, 'sec-websocket-version': '8' })).toMatchObject({ key: KEY });
  });

  test.each<[string, Record<string, string | undefined>, RegExp]>([
    ['another protocol of the connection', { upgrade: 'h2c' }, /upgrade/],
    ['no key', { 'sec-websocket-key': undefined }, /Key/],
    ['a short key', { 'sec-websocket-key': 'AAAA' }, /Key/],
    ['no version', { 'sec-websocket-version': undefined }, /Version/],
    ['a version of the drafts', { 'sec-websocket-version': '7' }, /Version/],
    ['a protocol without a name', { 'sec-websocket-protocol': 'a,,b' }, /Protocol/],
    ['a protocol twice', { 'sec-websocket-protocol': 'a, a' }, /Protocol/],
    ['a protocol that is no name', { 'sec-websocket-protocol': 'a b' }, /Protocol/],
  ])('with %s is refused with its reason', (_, headers, reason) => {
    expect(read(headers)).toMatchObject({ status: '400 Bad Request', reason: expect.stringMatching(reason) });
  });

  test('by another method is refused', () => {
    expect(read({}, 'POST')).toMatchObject({ status: '405 Method Not Allowed' });
  });

  test('of an unsupported version is refused with the versions that are supported', () => {
    expect(read({ 'sec-websocket-version': '7' })).toMatchObject({ fields: 'Sec-WebSocket-Version: 13, 8\r\n' });
  });

  // cspell:ignore Gzzh
  test('is accepted as RFC 6455 shows', () => {
    expect(acceptance(KEY, 'chat').split('\r\n')).toEqual([
      'HTTP/1.1 101 Switching Protocols',
      'Upgrade: websocket',
      'Connection: Upgrade',
      'Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=',
      'Sec-WebSocket-Protocol: chat',
      '',
      '',
    ]);
    expect(acceptance(KEY, null)).not.toContain('Sec-WebSocket-Protocol');
  });
});
