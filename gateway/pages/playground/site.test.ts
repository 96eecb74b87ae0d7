import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import fastify, { type FastifyInstance } from 'fastify';
import { serveSite } from '../serving/serve-site.ts';
import { PLAYGROUND } from './site.ts';

let app: FastifyInstance;
beforeAll(() => {
  app = fastify();
  serveSite(app, PLAYGROUND);
});
afterAll(() => app.close());

const get = (url: string, headers: Record<string, string> = { 'accept-encoding': 'br' }) =>
  app.inject({ url, headers });

/** The paths of this host that a text names, in attributes and imports. */
function pathsIn(text: string, base: string): string[] {
  return Array.from(
    text.matchAll(/(?:src|href|data-worker-\w+)="(\/[^"]+)"|from '(\.\.?\/[^']+)'/g),
    ([, path, module]) => path ?? new URL(module ?? '', `http://x${base}`).pathname,
  );
}

describe('The playground', () => {
  test('has every file that its page and its modules name', async () => {
    const seen = new Set<string>();
    const follow = async (path: string): Promise<void> => {
      if (seen.has(path)) return;
      seen.add(path);
      const answer = await get(path, {});
      expect([path, answer.statusCode]).toEqual([path, 200]);
      const isOwn = !/-[0-9a-f]{10}\.\w+$/.test(path);
      if (isOwn) for (const next of pathsIn(answer.body, path)) await follow(next);
    };
    await follow('/');
    expect([...seen].filter((path) => path.includes('graphql-ws')).length).toBeGreaterThan(1);
    expect(seen.size).toBeGreaterThan(14);
  });

  test('has a viewport, loads nothing from another host and runs nothing inline', async () => {
    const { body, headers } = await get('/', {});
    expect(body).toContain('<meta name="viewport" content="width=device-width, initial-scale=1"');
    expect(body).not.toMatch(/(?:src|href)="(?:https?:)?\/\//);
    expect(body).not.toMatch(/<script(?![^>]+src=)|<style|\son\w+=/);
    const policy = String(headers['content-security-policy']);
    expect(policy).toContain("script-src 'self';");
    expect(policy).not.toMatch(/unsafe-eval|https?:|\*/);
  });

  test('sends a quarter of its bytes at the first open, and next to nothing at the next', async () => {
    const { body } = await get('/', {});
    const paths = ['/', ...pathsIn(body, '/')];
    const first = await Promise.all(paths.map((path) => get(path)));
    const plain = await Promise.all(paths.map((path) => get(path, {})));
    const bytes = (answers: readonly { rawPayload: Buffer }[]) =>
      answers.reduce((sum, { rawPayload }) => sum + rawPayload.length, 0);
    expect(bytes(plain)).toBeGreaterThan(5_000_000);
    expect(bytes(first)).toBeLessThan(bytes(plain) / 4);
    for (const [index, path] of paths.entries()) {
      const etag = String(first[index]?.headers['etag']);
      const again = await get(path, { 'accept-encoding': 'br', 'if-none-match': etag });
      expect([path, again.statusCode, again.rawPayload.length]).toEqual([path, 304, 0]);
    }
    const kept = first.filter(({ headers }) => String(headers['cache-control']).includes('immutable'));
    expect(bytes(kept)).toBeGreaterThan(bytes(first) * 0.95);
  });
});
