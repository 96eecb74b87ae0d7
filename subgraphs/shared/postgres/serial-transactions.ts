import { PrismaPg } from '@prisma/adapter-pg';
import type { Pool } from 'pg';

/**
 * PrismaPg whose transactions send their queries one after another. Prisma runs the parts of an `include` concurrently,
 * even in a transaction, which has one connection. pg deprecates that with a warning, and its next major version
 * refuses it.
 */
export class SerialPrismaPg extends PrismaPg {
  /** The pool of its connections; null before it has connected. */
  pool: Pool | null = null;

  /**
   * @param observe sends each statement, and may measure it
   * @param opened is called with the pool before its first connection
   */
  constructor(
    options: ConstructorParameters<typeof PrismaPg>[0],
    settings: ConstructorParameters<typeof PrismaPg>[1],
    private readonly observe: ObserveStatement,
    private readonly opened: (pool: Pool) => void,
  ) {
    super(options, settings);
  }

  /** Connects, and makes the connection's transactions serial. */
  override async connect(): ReturnType<PrismaPg['connect']> {
    const adapter = await super.connect();
    this.pool = adapter.underlyingDriver();
    this.opened(this.pool);
    const begin = adapter.startTransaction.bind(adapter);
    adapter.startTransaction = async (...args) =>
      this.#observed(serial(await this.observe('BEGIN', () => begin(...args))));
    return this.#observed(adapter);
  }

  #observed<Sender extends Pick<Transaction, 'queryRaw' | 'executeRaw'>>(sender: Sender): Sender {
    const { observe } = this;
    const [query, run] = [sender.queryRaw.bind(sender), sender.executeRaw.bind(sender)];
    sender.queryRaw = (statement) => observe(statement.sql, () => query(statement));
    sender.executeRaw = (statement) => observe(statement.sql, () => run(statement));
    return sender;
  }
}

/**
 * Sends a statement by `send`.
 *
 * @param sql with marks in the place of values
 */
export type ObserveStatement = <T>(sql: string, send: () => Promise<T>) => Promise<T>;

type Transaction = Awaited<ReturnType<Awaited<ReturnType<PrismaPg['connect']>>['startTransaction']>>;

/** Wraps the transaction so that each query waits until the earlier ones have settled. */
function serial(transaction: Transaction): Transaction {
  let last: Promise<unknown> = Promise.resolve();
  const inTurn =
    <Query, Result>(send: (query: Query) => Promise<Result>) =>
    (query: Query): Promise<Result> => {
      const sending = last.then(() => send(query));
      last = sending.catch(() => {});
      return sending;
    };
  transaction.queryRaw = inTurn(transaction.queryRaw.bind(transaction));
  transaction.executeRaw = inTurn(transaction.executeRaw.bind(transaction));
  return transaction;
}
