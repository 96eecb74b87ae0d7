/** Settings that a parser accepts can be used: what is accepted here fails nowhere later. */
import { validateHeaderName, validateHeaderValue } from 'node:http';
import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { rounds } from '../../core/testing/rounds.ts';
import { isUrlOf, readAddress, readHeaderField } from './setting-forms.ts';

test.each([
  ...['redis://s1:26379', 'user@s1:26379', 's1/x:26379', 'a:b:80', '[::1:80', 's1]:80', '::1:80', 's1:0', 's1'],
])('%s is no address of a server', (text) => {
  expect(readAddress(text)).toBeNull();
});

test('the address of a server has a name or an IP address, and a port', () => {
  expect(['s1:26379', '192.0.2.1:1', '[2001:db8::1]:65535'].map(readAddress)).toEqual([
    { host: 's1', port: 26_379 },
    { host: '192.0.2.1', port: 1 },
    { host: '2001:db8::1', port: 65_535 },
  ]);
});

test.each(['authorization=Bearer%20x%0Ay', 'a=%E2%82%AC', 'a=%00', 'a=%7F', 'a b=x', '=x', 'a'])(
  '%s is no header field',
  (text) => {
    expect(readHeaderField(text)).toBeNull();
  },
);

test('every header field that is accepted can be sent', () => {
  const encoded = fc.string({ unit: 'binary-ascii' }).map(encodeURIComponent);
  const texts = fc.oneof(
    fc.tuple(fc.string(), fc.oneof(encoded, fc.string({ unit: 'binary' }))),
    fc.tuple(fc.constantFrom('a', 'x-y'), encoded),
  );
  fc.assert(
    fc.property(texts, ([name, value]) => {
      const field = readHeaderField(`${name}=${value}`);
      if (field === null) return;
      validateHeaderName(field[0]);
      validateHeaderValue(...field);
    }),
    { numRuns: rounds(500, 20_000) },
  );
  expect(readHeaderField('Authorization=Bearer%20caf%C3%A9%09')).toEqual(['authorization', 'Bearer café\t']);
});

test('a URL names its protocol with two slashes', () => {
  const forms = ['redis://cache', 'REDIS://cache', 'redis:cache', 'redis:/cache', ' redis://cache', 'redis://a b'];
  expect(forms.filter((text) => isUrlOf(text, ['redis:', 'rediss:']))).toEqual(['redis://cache', 'REDIS://cache']);
});
