import { brotliDecompressSync, gunzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import fastify, { type FastifyInstance } from 'fastify';
import { digestedName, pageFile } from './page-file.ts';
import { serveSite, sitePolicy } from './serve-site.ts';

const SCRIPT = 'export const flags = ["eco", "sport"];\n'.repeat(200);
const PICTURE = Buffer.alloc(4_000, 7);
const NAME = digestedName('app.js', SCRIPT);
const POLICY = sitePolicy({ image: ['data:'] });

let app: FastifyInstance;
let loads = 0;

beforeAll(() => {
  app = fastify();
  serveSite(app, {
    routes: ['/console', '/console/*'],
    policy: POLICY,
    load: async () => {
      loads += 1;
      if (loads === 1) throw new Error('the disk is away');
      return [
        pageFile('/console', '<!doctype html><title>Console</title>', { extension: '.html' }),
        pageFile(`/console/${NAME}`, SCRIPT, { caching: 'immutable' }),
        pageFile('/console/app.js', SCRIPT),
        pageFile('/console/car.png', PICTURE),
      ];
    },
    otherwise: (path) => (path.includes('.') ? null : '/console'),
  });
});
afterAll(() => app.close());

const get = (url: string, headers: Record<string, string> = {}) => app.inject({ url, headers });

describe('A site', () => {
  test('whose files cannot be loaded fails for that request, and is loaded once by those that follow', async () => {
    expect((await get('/console')).statusCode).toBe(500);
    const answers = await Promise.all([get('/console'), get('/console/app.js'), get('/console')]);
    expect(answers.map(({ statusCode }) => statusCode)).toEqual([200, 200, 200]);
    expect(loads).toBe(2);
  });

  test.each([
    ['gzip, deflate, br, zstd', 'br', brotliDecompressSync],
    ['gzip, deflate', 'gzip', gunzipSync],
    ['br;q=0, *', 'gzip', gunzipSync],
    ['deflate', undefined, (bytes: Buffer) => bytes],
    ['', undefined, (bytes: Buffer) => bytes],
    [undefined, undefined, (bytes: Buffer) => bytes],
  ] as const)('answers accept-encoding %j with %j', async (accepted, coding, decode) => {
    const answer = await get('/console/app.js', accepted === undefined ? {} : { 'accept-encoding': accepted });
    expect(answer.headers['content-encoding']).toBe(coding);
    expect(answer.headers['vary']).toBe('Accept-Encoding');
    expect(answer.headers['content-length']).toBe(String(answer.rawPayload.length));
    expect(decode(answer.rawPayload).toString()).toBe(SCRIPT);
    if (coding !== undefined) expect(answer.rawPayload.length).toBeLessThan(SCRIPT.length / 10);
  });

  test('does not compress pictures, nor what fits into a packet', async () => {
    for (const url of ['/console/car.png', '/console']) {
      const { headers } = await get(url, { 'accept-encoding': 'br' });
      expect(headers['content-encoding']).toBeUndefined();
      expect(headers['vary']).toBeUndefined();
    }
    expect((await get('/console/car.png')).rawPayload).toEqual(PICTURE);
  });

  test('gives each coding a tag of its own, and answers 304 without a body to a client that has it', async () => {
    const tags = await Promise.all(
      ['br', 'gzip', 'identity'].map(async (coding) => {
        const { etag } = (await get('/console/app.js', { 'accept-encoding': coding })).headers;
        const again = await get('/console/app.js', {
          'accept-encoding': coding,
          'if-none-match': `"other", ${String(etag)}`,
        });
        expect(again.statusCode).toBe(304);
        expect(again.rawPayload).toHaveLength(0);
        expect(again.headers).toMatchObject({ etag, 'cache-control': 'no-cache', vary: 'Accept-Encoding' });
        return etag;
      }),
    );
    expect(new Set(tags).size).toBe(3);
    expect((await get('/console/app.js', { 'if-none-match': '"other"' })).statusCode).toBe(200);
  });

  test('lets browsers keep a file whose name has its digest, and asks for all others again', async () => {
    expect((await get(`/console/${NAME}`)).headers['cache-control']).toBe('public, max-age=31536000, immutable');
    expect((await get('/console')).headers['cache-control']).toBe('no-cache');
    expect(digestedName('app.js', `${SCRIPT} `)).not.toBe(NAME);
  });

  test('sends its policy and the other fields of security with every file', async () => {
    for (const url of ['/console', '/console/app.js', '/console/car.png'])
      expect((await get(url)).headers).toMatchObject({
        'content-security-policy': POLICY,
        'x-content-type-options': 'nosniff',
        'referrer-policy': 'same-origin',
        'cross-origin-opener-policy': 'same-origin',
      });
    expect(POLICY).toContain("script-src 'self';");
    expect(POLICY).toContain("img-src 'self' data:;");
    expect(POLICY).not.toContain('unsafe');
  });

  test('answers addresses within the page with the page, and files that are not there with 404', async () => {
    const page = await get('/console/flags/eco?tab=rules');
    expect(page.statusCode).toBe(200);
    expect(page.headers['content-type']).toBe('text/html; charset=utf-8');
    for (const url of ['/console/old-app.js', '/console/../app.js', '/console/%2e%2e/%2e%2e/etc/passwd.js'])
      expect((await get(url)).statusCode).toBe(404);
  });

  test('answers HEAD as GET, without the body', async () => {
    const answer = await app.inject({ method: 'HEAD', url: '/console/app.js', headers: { 'accept-encoding': 'br' } });
    expect(answer.statusCode).toBe(200);
    expect(answer.headers['content-encoding']).toBe('br');
    expect(answer.rawPayload).toHaveLength(0);
  });
});

test('A file needs a media type that is known', () => {
  expect(() => pageFile('/console/app.exe', '')).toThrow(
    '/console/app.exe has no known media type; expected one of .html',
  );
});
