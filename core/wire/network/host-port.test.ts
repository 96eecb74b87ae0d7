import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { rounds } from '../../testing/rounds.ts';
import { readHostPort } from './host-port.ts';

test.each([
  ['sentinel-1.example:26379', 'sentinel-1.example', 26_379],
  ['fleet_redis:0', 'fleet_redis', 0],
  ['café.example:80', 'café.example', 80],
  ['192.0.2.1:65535', '192.0.2.1', 65_535],
  ['[::1]:80', '::1', 80],
  ['[::ffff:192.0.2.1]:80', '::ffff:192.0.2.1', 80],
])('%s is a host and a port', (text, host, port) => {
  expect(readHostPort(text)).toEqual({ host, port });
});

test.each([
  ...['', 'h', 'h:', ':80', '80', 'h:65536', 'h:100000', 'h:-1', 'h:8e1', 'a:b:80'],
  ...['redis://s1:26379', 'user@s1:26379', 's1/x:26379', 's 1:80', ' s1:80', 's1:80\n', 's%31:80'],
  ...['[::1:80', 's1]:80', '[s1]:80', '::1:80', '[]:80', '[:::::]:80', '[::1]', '[[::1]]:80', '[192.0.2.1]:80'],
])('%j is none', (text) => {
  expect(readHostPort(text)).toBeNull();
});

test('what is accepted names a host in URLs as well, and nothing besides', () => {
  const texts = fc.stringMatching(/^[a-z0-9:.@/\\[\]?#% _-]{1,12}:\d{1,5}$/);
  fc.assert(
    fc.property(texts, (text) => {
      const read = readHostPort(text);
      if (read === null) return;
      const { username, pathname, search, hash } = new URL(`redis://${text}`);
      expect([username, pathname, search, hash]).toEqual(['', '', '', '']);
    }),
    { numRuns: rounds(200, 5_000) },
  );
});
