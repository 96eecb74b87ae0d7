/** The numbers of sockets from each address, and whether one more may be open. */
import { UNSHARED, divide, type Division, type SharedLimits } from '../../../operations/turns/shared-limits.ts';

/** Places that are lent to this gateway for an address. */
interface Loan {
  places: number;
  isRequested: boolean;
}

/** The number of blocks in the limit. Places are lent in blocks, and a block is requested before it is needed. */
const BLOCKS = 16;

/** Counts the open sockets of each address. */
export class SocketsByAddress {
  readonly #counts = new Map<string, number>();
  /** The loans for addresses from which more come than this gateway may let in by itself; they are few. */
  readonly #loans = new Map<string, Loan>();
  readonly #division: Division;
  readonly #block: number;

  /** @param limit sockets of one address, at all gateways that share it */
  constructor(
    limit: number,
    private readonly shared: SharedLimits = UNSHARED,
  ) {
    // Half is divided among the gateways. The other half goes to where connections happen to come.
    this.#division = divide(limit, shared, Math.floor(limit / 2 / shared.gateways));
    this.#block = Math.max(1, Math.floor(limit / BLOCKS));
  }

  /** Says whether one more socket may be open. Requests a block of places where few are left. */
  hasRoom(address: string): boolean {
    const count = this.#counts.get(address) ?? 0;
    const free = this.#division.own + (this.#loans.get(address)?.places ?? 0) - count;
    if (free <= this.#block) this.#request(address);
    return free > 0;
  }

  /** Counts one more socket. */
  add(address: string): void {
    this.#counts.set(address, (this.#counts.get(address) ?? 0) + 1);
  }

  delete(address: string): void {
    const count = (this.#counts.get(address) ?? 1) - 1;
    if (count > 0) this.#counts.set(address, count);
    else this.#counts.delete(address);
    const loan = this.#loans.get(address);
    if (loan === undefined) return;
    const unused = Math.min(loan.places, this.#division.own + loan.places - count);
    if (count === 0 || unused >= 3 * this.#block)
      this.#giveBack(address, loan, count === 0 ? loan.places : this.#block);
  }

  #request(address: string): void {
    if (this.#division.lent === 0) return;
    const loan = this.#loans.get(address) ?? { places: 0, isRequested: false };
    this.#loans.set(address, loan);
    if (loan.isRequested) return;
    loan.isRequested = true;
    this.shared.borrowSome(nameOf(address), this.#division.lent, this.#block).then(
      (granted) => {
        loan.isRequested = false;
        loan.places += granted;
        if (!this.#counts.has(address)) this.#giveBack(address, loan, loan.places);
      },
      () => void (loan.isRequested = false),
    );
  }

  #giveBack(address: string, loan: Loan, places: number): void {
    loan.places -= places;
    if (places > 0) this.shared.giveBack(nameOf(address), places);
    if (loan.places === 0 && !loan.isRequested) this.#loans.delete(address);
  }
}

const nameOf = (address: string) => `sockets of ${address}`;
