/**
 * Entity tags of the answers to persisted queries by GET (RFC 9110, section 8.8.3):
 * docs/decisions/api/cached-answers.md.
 */
import { createHash } from 'node:crypto';

/** Gives the strong entity tag of a text. */
export function tagOfAnswer(text: string): string {
  return `"${createHash('sha256').update(text).digest('base64url')}"`;
}

/**
 * Says whether an If-None-Match names `tag`, by weak comparison (RFC 9110, section 13.1.2). `*` does not, because it is
 * meant for changes.
 */
export function isNamed(tag: string, ifNoneMatch: string | undefined): boolean {
  if (ifNoneMatch === undefined) return false;
  // This is the common case: most clients send exactly the tag that they got.
  if (ifNoneMatch === tag) return true;
  const opaque = (given: string) => given.trim().replace(/^W\//, '');
  return ifNoneMatch.split(',').some((given) => opaque(given) === opaque(tag));
}
