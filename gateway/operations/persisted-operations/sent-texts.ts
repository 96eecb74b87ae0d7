/**
 * The texts that people's clients have sent beside their SHA-256, so that the next request needs the hash only
 * (docs/decisions/sent-texts.md). https://www.apollographql.com/docs/apollo-server/performance/apq
 */
import { LRUCache } from 'lru-cache';
import type { OperationText } from './operation-texts.ts';

/** Of all texts that are kept together, and of one, in bytes. */
const MAX_BYTES = 8 * 1024 * 1024;
const MAX_TEXT_BYTES = 64 * 1024;

export class SentTexts {
  readonly #texts = new LRUCache<string, OperationText>({
    maxSize: MAX_BYTES,
    maxEntrySize: MAX_TEXT_BYTES,
    sizeCalculation: ({ body, sha256 }) => Buffer.byteLength(body) + sha256.length,
  });

  /** @param text whose hash has been checked; one that is too large is not kept */
  remember(text: OperationText): void {
    this.#texts.set(text.sha256, text);
  }

  find(sha256: string): OperationText | undefined {
    return this.#texts.get(sha256);
  }
}
