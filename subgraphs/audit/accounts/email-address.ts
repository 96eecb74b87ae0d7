/**
 * Checks of e-mail addresses. They must be ASCII, so that no two look the same: nobody can imitate `pat@example.com`
 * with a zero-width space, full-width letters or a dotless i. docs/decisions/trust/email-addresses.md says why this is
 * a rule and not a table of similar characters.
 */

/** The most characters that fit the column (database.md, users). */
export const MAX_EMAIL = 255;

/** The form of an e-mail address, for error messages. */
export const EMAIL_FORM =
  "An e-mail address must be ASCII: letters, digits and .!#$%&'*+/=?^_`{|}~- before the @, and a domain in its ASCII form (xn--… for other scripts).";

/** RFC 5321, section 4.1.2: a Dot-string of atoms (RFC 5322, section 3.2.3), and a domain of labels of at most 63. */
const LOCAL = /^(?=.{1,64}$)[a-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[a-z0-9!#$%&'*+/=?^_`{|}~-]+)*$/i;
const DOMAIN = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)*$/i;

/** Checks whether `text`, which has no surrounding blanks, may be the e-mail of an account. */
export function isEmailAddress(text: string): boolean {
  const at = text.lastIndexOf('@');
  return at > 0 && text.length <= MAX_EMAIL && LOCAL.test(text.slice(0, at)) && DOMAIN.test(text.slice(at + 1));
}
