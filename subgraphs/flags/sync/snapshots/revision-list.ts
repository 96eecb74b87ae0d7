/**
 * A list by ascending revision that is never changed. What replaces some of its entries copies the parts that have
 * them, and no others: a change costs about the same among 5,000 flags as among 100. Pure.
 */

/** The entries of one part; a part with twice as many is split. */
const PART = 64;

interface Revised {
  readonly revision: number;
}

/** Entries by ascending revision. Entries of the same revision keep the order in which they came. */
export class RevisionList<Entry extends Revised> implements Iterable<Entry> {
  readonly #parts: readonly (readonly Entry[])[];
  readonly length: number;
  #all: readonly Entry[] | undefined;

  private constructor(parts: readonly (readonly Entry[])[], length: number) {
    this.#parts = parts;
    this.length = length;
  }

  /** Makes a list of entries that ascend by revision. */
  static of<Entry extends Revised>(entries: readonly Entry[]): RevisionList<Entry> {
    const parts = Array.from({ length: Math.ceil(entries.length / PART) }, (_, index) =>
      entries.slice(index * PART, (index + 1) * PART),
    );
    return new RevisionList(parts, entries.length);
  }

  *[Symbol.iterator](): Iterator<Entry> {
    for (const part of this.#parts) yield* part;
  }

  /** All entries as an array, which is made once. */
  get all(): readonly Entry[] {
    return (this.#all ??= this.#parts.flat());
  }

  /** Gives the first entries; none for a count below 1. */
  first(count: number): Entry[] {
    const entries: Entry[] = [];
    for (const entry of this) {
      if (entries.length >= count) break;
      entries.push(entry);
    }
    return entries;
  }

  /** Gives the entries after a revision. */
  after(revision: number): Entry[] {
    const from = partAt(this.#parts, revision + 1);
    return this.#parts.slice(from).flatMap((part, index) => (index === 0 ? part.slice(after(part, revision)) : part));
  }

  /** Gives the last entry up to a revision; undefined where there is none. */
  lastUpTo(revision: number): Entry | undefined {
    const at = partAt(this.#parts, revision + 1);
    const part = this.#parts[at] ?? [];
    return part[after(part, revision) - 1] ?? this.#parts[at - 1]?.at(-1);
  }

  /**
   * Gives the list without some of its entries and with others.
   *
   * @throws Error where an entry of `removed` is not in the list
   */
  replaced(removed: readonly Entry[], added: readonly Entry[]): RevisionList<Entry> {
    if (removed.length === 0 && added.length === 0) return this;
    const parts = new OwnParts(this.#parts);
    for (const entry of removed) parts.remove(entry);
    for (const entry of added) parts.add(entry);
    return new RevisionList(parts.parts, this.length - removed.length + added.length);
  }
}

/** Gives the first index at which `isPast` holds; it holds for all after that. */
function firstWhere(length: number, isPast: (index: number) => boolean): number {
  let [low, high] = [0, length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (isPast(middle)) high = middle;
    else low = middle + 1;
  }
  return low;
}

/** Gives the index of the first part that ends at a revision or after it. */
const partAt = (parts: readonly (readonly Revised[])[], revision: number) =>
  firstWhere(parts.length, (index) => (parts[index]?.at(-1)?.revision ?? Infinity) >= revision);

/** Gives the index of a part's first entry after a revision. */
const after = (part: readonly Revised[], revision: number) =>
  firstWhere(part.length, (index) => (part[index]?.revision ?? Infinity) > revision);

/** The parts of a list while it is made from another, whose parts stay as they are. */
class OwnParts<Entry extends Revised> {
  readonly parts: (readonly Entry[])[];
  /** The parts that were made here, and may be changed. */
  readonly #own = new Map<readonly Entry[], Entry[]>();

  constructor(parts: readonly (readonly Entry[])[]) {
    this.parts = [...parts];
  }

  remove(entry: Entry): void {
    let at = partAt(this.parts, entry.revision);
    // Entries of the same revision may be in two parts.
    while (this.parts[at]?.includes(entry) === false) at += 1;
    const part = this.#owned(at);
    part.splice(part.indexOf(entry), 1);
    if (part.length === 0) this.parts.splice(at, 1);
    else this.#join(at);
  }

  add(entry: Entry): void {
    if (this.parts.length === 0) this.parts.push([]);
    const at = Math.min(partAt(this.parts, entry.revision + 1), this.parts.length - 1);
    const part = this.#owned(at);
    part.splice(after(part, entry.revision), 0, entry);
    if (part.length < 2 * PART) return;
    const halves = [part.slice(0, PART), part.slice(PART)];
    for (const half of halves) this.#own.set(half, half);
    this.parts.splice(at, 1, ...halves);
  }

  /** Joins a part with the next one where both are small, so that there are never many. */
  #join(at: number): void {
    const [part, next] = [this.parts[at], this.parts[at + 1]];
    if (part === undefined || next === undefined || part.length + next.length > PART) return;
    const joined = [...part, ...next];
    this.#own.set(joined, joined);
    this.parts.splice(at, 2, joined);
  }

  /** Gives a part that may be changed. */
  #owned(at: number): Entry[] {
    const part = this.parts[at];
    if (part === undefined) throw new Error('An entry to remove is not in the list');
    let own = this.#own.get(part);
    if (own === undefined) this.#own.set((own = [...part]), own);
    this.parts[at] = own;
    return own;
  }
}
