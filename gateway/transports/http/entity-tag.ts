/** Entity tags of the answers to persisted queries by GET (RFC 9110, section 8.8.3): docs/decisions/cached-answers.md. */
import { createHash } from 'node:crypto';

/** For an answer of which nothing is known but its text. */
export function tagOfAnswer(text: string): string {
  return `"${createHash('sha256').update(text).digest('base64url')}"`;
}

/**
 * Whether an If-None-Match names `tag`, by weak comparison (RFC 9110, section 13.1.2). `*` names none: it is for
 * changes.
 */
export function isNamed(tag: string, ifNoneMatch: string | undefined): boolean {
  if (ifNoneMatch === undefined) return false;
  // Most clients send back just what they were given.
  if (ifNoneMatch === tag) return true;
  const opaque = (given: string) => given.trim().replace(/^W\//, '');
  return ifNoneMatch.split(',').some((given) => opaque(given) === opaque(tag));
}
