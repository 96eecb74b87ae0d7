import { createHash } from 'node:crypto';
import { describe, expect, test } from '@jest/globals';
import { SentTexts } from './sent-texts.ts';

const text = (body: string) => ({ body, sha256: createHash('sha256').update(body).digest('hex') });

describe('the texts that were sent', () => {
  test('are found by their hash', () => {
    const sent = new SentTexts();
    const one = text('{ a }');
    expect(sent.find(one.sha256)).toBeUndefined();
    sent.remember(one);
    expect(sent.find(one.sha256)).toBe(one);
  });

  test('hold at most 8 MiB, and keep those that are used', () => {
    const sent = new SentTexts();
    const used = text('{ used }');
    sent.remember(used);
    const many = Array.from({ length: 300 }, (_, index) => text(`{ f${index} } #${'x'.repeat(60_000)}`));
    for (const each of many) {
      sent.remember(each);
      expect(sent.find(used.sha256)).toBe(used);
    }
    const kept = many.filter(({ sha256 }) => sent.find(sha256) !== undefined);
    expect(kept.length * 60_000).toBeLessThanOrEqual(8 * 1024 * 1024);
    expect(kept.length).toBeGreaterThan(100);
  });

  test('are not kept when they are larger than a registered one may be', () => {
    const sent = new SentTexts();
    const large = text(`{ a } #${'é'.repeat(33_000)}`);
    sent.remember(large);
    expect(sent.find(large.sha256)).toBeUndefined();
  });
});
