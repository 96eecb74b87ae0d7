/**
 * What an account's e-mail may be: ASCII, so that no two addresses look the same. Where `pat@example.com` approves,
 * nobody else is the same with a zero-width space in it, in full-width letters, or with a dotless i. Why a rule and no
 * table of what looks alike: docs/decisions/email-addresses.md.
 */

/** Longer ones do not fit the column (database.md, users). */
export const MAX_EMAIL = 255;

export const EMAIL_FORM =
  "An e-mail address here is ASCII: letters, digits and .!#$%&'*+/=?^_`{|}~- before the @, and a domain in its ASCII form (xn--… for one of other letters).";

/** RFC 5321, section 4.1.2: a Dot-string of atoms (RFC 5322, section 3.2.3), and a domain of labels of at most 63. */
const LOCAL = /^(?=.{1,64}$)[a-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[a-z0-9!#$%&'*+/=?^_`{|}~-]+)*$/i;
const DOMAIN = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)*$/i;

/** Whether `text` may be the e-mail of an account; without blanks around it. */
export function isEmailAddress(text: string): boolean {
  const at = text.lastIndexOf('@');
  return at > 0 && text.length <= MAX_EMAIL && LOCAL.test(text.slice(0, at)) && DOMAIN.test(text.slice(at + 1));
}
