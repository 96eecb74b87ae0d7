/**
 * Remembers the texts that people's clients have sent with their SHA-256, so that the next request needs only the hash
 * (docs/decisions/api/sent-texts.md). https://www.apollographql.com/docs/apollo-server/performance/apq
 */
import { LRUCache } from 'lru-cache';
import type { OperationText } from './operation-texts.ts';

/** The most bytes of all texts together, and of one. */
const MAX_BYTES = 8 * 1024 * 1024;
const MAX_TEXT_BYTES = 64 * 1024;

/** Remembers texts by their SHA-256, up to a number of bytes. */
export class SentTexts {
  readonly #texts = new LRUCache<string, OperationText>({
    maxSize: MAX_BYTES,
    maxEntrySize: MAX_TEXT_BYTES,
    sizeCalculation: ({ body, sha256 }) => Buffer.byteLength(body) + sha256.length,
  });

  /**
   * Remembers a text, unless it is too large.
   *
   * @param text whose hash has been checked
   */
  remember(text: OperationText): void {
    this.#texts.set(text.sha256, text);
  }

  find(sha256: string): OperationText | undefined {
    return this.#texts.get(sha256);
  }
}
