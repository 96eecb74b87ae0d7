import { PrismaPg } from '@prisma/adapter-pg';

/**
 * PrismaPg whose transactions send their queries one after another. Prisma runs the parts of an `include` concurrently,
 * even in a transaction, which has one connection. pg deprecates that with a warning, and its next major version
 * refuses it.
 */
export class SerialPrismaPg extends PrismaPg {
  /** Connects, and makes the connection's transactions serial. */
  override async connect(): ReturnType<PrismaPg['connect']> {
    const adapter = await super.connect();
    const begin = adapter.startTransaction.bind(adapter);
    adapter.startTransaction = async (...args) => serial(await begin(...args));
    return adapter;
  }
}

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
