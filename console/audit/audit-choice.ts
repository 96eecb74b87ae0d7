/** The choice of entries of the audit log, as the page's address has it. */

/** Filters; null or an empty text: all entries. */
export interface AuditChoice {
  readonly action: string | null;
  /** The key of a flag. */
  readonly flag: string;
  /** The id of a person's account. */
  readonly person: string | null;
  /** A part of the name or the e-mail of who acted. */
  readonly name: string;
  /** The first moment of the period, in ISO 8601. */
  readonly from: string | null;
  /** The end of the period, in ISO 8601; not part of it. */
  readonly to: string | null;
}

/** Gives a moment in ISO 8601; null for what is none, such as an empty field. */
export function momentOf(text: string | null): string | null {
  if (text === null || text === '') return null;
  const date = new Date(text);
  return Number.isNaN(date.getTime()) ? null : date.toISOString();
}

/** Reads what is chosen from the query of an address. */
export function readAuditChoice(query: string): AuditChoice {
  const given = new URLSearchParams(query);
  return {
    action: given.get('action'),
    flag: given.get('flag') ?? '',
    person: given.get('person'),
    name: given.get('name') ?? '',
    from: momentOf(given.get('from')),
    to: momentOf(given.get('to')),
  };
}
