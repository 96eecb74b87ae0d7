/**
 * The flags of which programs have evaluated the new content of a release since it became active. A stage of the
 * release waits for these evaluations. They are kept in memory alone: after a restart, a content counts once a program
 * has evaluated it again.
 * Source: releases.md, "Stages".
 */
import type { EvaluatedFlag, NewContent } from './flag-evaluator.ts';

/** Notes evaluations of new contents. */
export class EvaluatedContents {
  /** The new contents that are active, by the keys of their flags. */
  #contents: ReadonlyMap<string, NewContent> = new Map();
  /** The keys of the new contents that the evaluation of a flag reads, by the key of that flag. */
  #readWith: ReadonlyMap<string, readonly string[]> = new Map();
  readonly #evaluated = new Set<string>();
  #notify: () => void = () => undefined;

  /**
   * Adopts the new contents that are active from now on. The same content stays evaluated, whatever stage or signature
   * brings it.
   */
  follow(contents: readonly NewContent[]): void {
    const before = this.#contents;
    this.#contents = new Map(contents.map((content) => [content.key, content]));
    for (const key of this.#evaluated)
      if (this.#contents.get(key)?.digest !== before.get(key)?.digest) this.#evaluated.delete(key);
    const readWith = new Map<string, string[]>();
    for (const { key, readers } of contents)
      for (const reader of readers) readWith.set(reader, [...(readWith.get(reader) ?? []), key]);
    this.#readWith = readWith;
  }

  /**
   * Notes that a program has evaluated a flag. Called with each evaluation, so it is quick where no release is under
   * way.
   */
  note({ definition, evaluation }: EvaluatedFlag): void {
    const keys = this.#readWith.get(definition.key);
    // A definition that is too old serves its default, and nothing of its content.
    if (keys === undefined || evaluation.reason === 'STALE') return;
    for (const key of keys) {
      if (this.#evaluated.has(key)) continue;
      this.#evaluated.add(key);
      this.#notify();
    }
  }

  /** Gives the flags whose new content has been evaluated, with the revisions of their active definitions. */
  list(): Pick<NewContent, 'key' | 'revision'>[] {
    const evaluated = [...this.#contents.values()].filter(({ key }) => this.#evaluated.has(key));
    return evaluated.map(({ key, revision }) => ({ key, revision }));
  }

  /** Calls `listener` each time a new content is first evaluated from now on, in place of the former listener. */
  onFirstEvaluation(listener: () => void): void {
    this.#notify = listener;
  }
}
