/** Reads settings from the environment's variables, and collects their faults, so that all are reported at once. */
import { isUrlOf } from './setting-forms.ts';

/** The form and the range of a number. */
export interface NumberForm {
  readonly from: number;
  readonly to: number;
  readonly pattern: RegExp;
  /** The form in the words of a fault, such as "a number of seconds". */
  readonly words: string;
}

/** Reads single settings. A reading method records a fault and gives some value where the setting is wrong. */
export class SettingsReader {
  /** The faults so far: sentences for the operator, in the order of the reads. */
  readonly faults: string[] = [];
  /** The faults that do not stop the start. */
  readonly warnings: string[] = [];

  constructor(private readonly variables: Readonly<Record<string, string | undefined>>) {}

  /**
   * Gives a setting; null where it is absent. An empty variable counts as absent: compose files and CI pass unset
   * variables that way.
   */
  text(name: string): string | null {
    const value = this.variables[name];
    return value === undefined || value === '' ? null : value;
  }

  /** Records a fault unless a condition holds. */
  require(condition: boolean, fault: string): void {
    if (!condition) this.faults.push(fault);
  }

  /** Gives the items of a list that is separated by commas, without blanks around them. */
  list(name: string): string[] {
    return (this.text(name) ?? '').split(',').flatMap((item) => item.trim() || []);
  }

  /** Gives one of some words. */
  oneOf<T extends string>(name: string, allowed: readonly T[], fallback: T): T {
    const value = this.text(name) ?? fallback;
    const found = allowed.find((candidate) => candidate === value);
    this.require(found !== undefined, `${name} is ${JSON.stringify(value)}; it must be one of ${allowed.join(', ')}.`);
    return found ?? fallback;
  }

  /** Gives whether something is switched on. */
  isOn(name: string, fallback: boolean): boolean {
    return this.oneOf(name, ['on', 'off'], fallback ? 'on' : 'off') === 'on';
  }

  /** Gives a URL; null where it is absent. */
  url(name: string, protocols: readonly string[]): string | null {
    const value = this.text(name);
    // The value may contain a password, so the message never repeats it.
    this.require(
      value === null || isUrlOf(value, protocols),
      `${name} must be a URL that begins with ${protocols.map((protocol) => `${protocol}//`).join(' or ')}.`,
    );
    return value;
  }

  /** Gives a number. */
  number(name: string, fallback: string, { from, to, pattern, words }: NumberForm): number {
    const value = this.text(name) ?? fallback;
    this.require(
      pattern.test(value) && Number(value) >= from && Number(value) <= to,
      `${name} is ${JSON.stringify(value)}; it must be ${words} from ${from} to ${to}.`,
    );
    return Number(value);
  }
}
