/**
 * A relay between gateway and vehicle that has no key, and does at random what it can without one: it drops, keeps
 * back, repeats and reorders messages, takes entries out of them and puts old ones in, changes what is not signed, and
 * answers with what it has seen before, on this connection and on those of vehicles of other partitions.
 */
import { RequestRefused } from '../link/gateway-link.ts';
import type { SignedFlag } from '../link/operations.ts';
import type { ChangeMessage, SyncMessage } from './wire-messages.ts';

/** Draws of the relay. */
type Draw = (max: number) => number;

/** Changes what it passes on, at random. */
export class MeddlingRelay {
  honest = false;
  /** Lets nothing new pass. */
  deaf = false;
  meddled = 0;
  /** The number of times that it has put in something of another partition or another vehicle. */
  mixed = 0;
  readonly #seenFlags: SignedFlag[] = [];
  readonly #seenProofs: string[] = [];
  readonly #seenAnswers: SyncMessage[] = [];
  // The messages that it has seen on the connections of vehicles of other partitions.
  readonly #foreignChanges: ChangeMessage[] = [];
  readonly #foreignAnswers: SyncMessage[] = [];
  readonly #foreignProofs: string[] = [];
  #kept: ChangeMessage[] = [];

  constructor(private readonly draw: Draw) {}

  /** Sees a change, an answer and a proof on the connection of a vehicle of another partition. */
  seesForeign(seen: { change?: ChangeMessage; answer?: SyncMessage; proof?: string }): void {
    if (seen.change !== undefined) this.#foreignChanges.push(seen.change);
    if (seen.answer !== undefined) this.#foreignAnswers.push(seen.answer);
    if (seen.proof !== undefined) this.#foreignProofs.push(seen.proof);
  }

  #pick<T>(from: readonly T[]): T | undefined {
    return from.length === 0 ? undefined : from[this.draw(from.length)];
  }

  #foreign<T>(from: readonly T[]): T[] {
    const picked = this.#pick(from);
    if (picked === undefined) return [];
    this.mixed += 1;
    return [picked];
  }

  change(change: ChangeMessage): ChangeMessage[] {
    this.#seenFlags.push(change.signed);
    this.#seenProofs.push(change.proof);
    if (this.honest) return [change];
    if (this.deaf) return [];
    const what = this.draw(12);
    this.meddled += what > 2 ? 1 : 0;
    if (what === 3) return [];
    if (what === 4) {
      this.#kept.push(change);
      return [];
    }
    const late = this.#kept.reverse();
    this.#kept = [];
    if (what === 5) return [change, ...late, change];
    if (what === 6) return [{ ...change, previousRevision: Math.max(0, change.revision - 1 - this.draw(5)) }, ...late];
    if (what === 7) return [{ ...change, proof: this.proof(change.proof) }];
    if (what === 8) return [...this.#foreign(this.#foreignChanges), change, ...this.#foreign(this.#foreignChanges)];
    if (what === 9) return this.#foreign(this.#foreignChanges);
    if (what === 10) return [{ ...change, proof: this.#foreign(this.#foreignProofs)[0] ?? change.proof }, ...late];
    if (what === 11) return this.#foreign(this.#foreignChanges).map((foreign) => ({ ...foreign, proof: change.proof }));
    return [change, ...late];
  }

  answer(answer: SyncMessage): SyncMessage {
    this.#seenAnswers.push(answer);
    this.#seenFlags.push(...answer.flags);
    this.#seenProofs.push(answer.proof);
    if (this.honest) return answer;
    if (this.deaf) return this.#seenAnswers[0]!;
    const what = this.draw(11);
    this.meddled += what > 1 ? 1 : 0;
    const { flags } = answer;
    if (what === 2) return { ...answer, flags: flags.filter(() => this.draw(3) > 0) };
    if (what === 3) return { ...answer, flags: [...flags, ...this.#seenFlags.slice(-1 - this.draw(10))] };
    if (what === 4) return { ...answer, revision: answer.revision + this.draw(3), full: !answer.full };
    if (what === 5) return this.#seenAnswers[this.draw(this.#seenAnswers.length)]!;
    if (what === 6) return { ...answer, proof: this.proof(answer.proof) };
    const [foreign] = what > 6 ? this.#foreign(this.#foreignAnswers) : [];
    if (foreign === undefined) return answer;
    if (what === 7) return foreign;
    if (what === 8) return { ...answer, flags: [...flags, ...foreign.flags] };
    if (what === 9) return { ...answer, flags: foreign.flags };
    return { ...answer, proof: foreign.proof };
  }

  proof(proof: string): string {
    this.#seenProofs.push(proof);
    if (this.deaf && !this.honest) return this.#seenProofs[0]!;
    const what = this.honest ? 0 : this.draw(4);
    if (what < 2) return proof;
    return (what === 2 ? this.#foreign(this.#foreignProofs)[0] : this.#pick(this.#seenProofs)) ?? proof;
  }

  /** Says whether it passes on that the gateway has ended the subscription. */
  get passesEnd(): boolean {
    return this.honest || (!this.deaf && this.draw(2) === 0);
  }

  /** Answers now and then as a control plane older than partitions would. */
  refuse(): void {
    if (this.honest || this.draw(20) > 0) return;
    this.meddled += 1;
    throw new RequestRefused([{ message: 'Unknown argument "partitioned".', extensions: { code: 'BAD_USER_INPUT' } }]);
  }
}
