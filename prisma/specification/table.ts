/** The specification of a table, in PostgreSQL's spelling. */
export interface TableSpecification {
  /** Name → type, `NOT NULL`, `DEFAULT`, as PostgreSQL spells them. */
  readonly columns: Readonly<Record<string, string>>;
  /** Primary key, UNIQUE, CHECK and FOREIGN KEY constraints: name → definition. */
  readonly constraints: Readonly<Record<string, string>>;
  /** Indexes beside those of the constraints: name → the text after `USING`. */
  readonly indexes: Readonly<Record<string, string>>;
  /** Columns that have a COMMENT; every table has one. */
  readonly commented: readonly string[];
  /** Names of triggers. */
  readonly triggers?: readonly string[];
}

/** The primary key of most tables. */
export const ID = { id: 'uuid NOT NULL DEFAULT gen_random_uuid()' };
/** A time that is by default that of the transaction. */
export const NOW = 'timestamp with time zone NOT NULL DEFAULT now()';
/** A time that may be unknown. */
export const TIME = 'timestamp with time zone';
/** The times of a row's creation and of its last change. */
export const TIMES = { created_at: NOW, updated_at: NOW };
/** A SHA-256 in hexadecimal. */
export const HASH = 'character(64) NOT NULL';
/** The values of columns that name an environment. */
export const ENVIRONMENT = ['development', 'staging', 'production'];

/** Gives a CHECK that a text column has one of some values, in PostgreSQL's normal form. */
export function oneOfCheck(column: string, values: readonly string[]): string {
  return `CHECK (((${column})::text = ANY ((ARRAY[${values.map((value) => `'${value}'::character varying`).join(', ')}])::text[])))`;
}

/** Gives the type of a text of at most `length` characters. */
export function text(length: number): string {
  return `character varying(${length})`;
}
