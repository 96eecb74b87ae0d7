/**
 * Changes that can have moved vehicles from one partition to another: vehicles that were registered as another model,
 * and models that a scope has named for the first time. Gateways read them, and get a signal when it is worth a read.
 * The table of vehicles belongs to another subgraph: docs/decisions/data/reading-another-subgraphs-table.md.
 */
import { EventEmitter, on } from 'node:events';
import { is } from '../../../core/json/shape.ts';
import type { PartitionNewsJson } from '../../../core/wire/subgraph/partition-news.ts';
import { mapStream } from '../../shared/feeds/async-iteration.ts';
import type { Bus } from '../../shared/feeds/bus.ts';
import { VEHICLE_MODELS_CHANGED } from '../../shared/between-subgraphs/vehicle-models.ts';
import { readPrepared } from '../../shared/postgres/prepared-statements.ts';
import type { Reader } from '../../shared/postgres/transaction.ts';
import { FLAGS_CHANGED } from '../changes/announcement.ts';
import { PacedLooks } from './paced-looks.ts';

/** The most vehicles of one page. */
const PAGE = 1_000;

const ROW = {
  vin: is.nullable(is.string),
  environment: is.nullable(is.string),
  model: is.nullable(is.string),
  at: is.number,
};

const MS = (column: string) => `date_part('epoch', ${column}) * 1000`;

const NEWS = `SELECT NULL AS vin, NULL AS environment, NULL AS model, ${MS('statement_timestamp()')} AS at
  UNION ALL SELECT NULL, environment, model, ${MS('named_at')} FROM scoped_models WHERE named_at > to_timestamp($1::float8 / 1000)
  UNION ALL (SELECT vin, NULL, NULL, ${MS('model_changed_at')} FROM vehicles
    WHERE model_changed_at IS NOT NULL AND (model_changed_at, vin) > (to_timestamp($1::float8 / 1000), $2)
    ORDER BY model_changed_at, vin LIMIT ${PAGE})`;

/**
 * Reads what is new, by one statement: the models that were named after `since`, and the next 1,000 vehicles after
 * (`since`, `after`) by time and then VIN.
 *
 * @param since milliseconds since 1970, by the database's clock
 * @param after a VIN
 */
export async function findPartitionNews(db: Reader, since: number, after: string): Promise<PartitionNewsJson> {
  const rows = await readPrepared(db, ROW, 'partition_news', NEWS, [since, after]);
  const vehicles = rows.flatMap(({ vin, at }) => (vin === null ? [] : [{ vin, at }]));
  const named = rows.flatMap(({ environment, model }) =>
    environment === null || model === null ? [] : [{ environment, model }],
  );
  const readAt = rows.find(({ vin, model }) => vin === null && model === null)?.at ?? 0;
  return { readAt, named, vehicles };
}

/** The least milliseconds between two signals. */
const PACE_MS = 100;
const SIGNAL = 'signal';
const CLOSED = 'closed';

/** Signals to gateways that there may be news. Signals may be lost, so gateways poll as well. */
export class PartitionSignals {
  readonly #emitter = new EventEmitter().setMaxListeners(0);
  readonly #looks = new PacedLooks(() => this.#emitter.emit(SIGNAL), PACE_MS);
  #unsubscribe: (() => Promise<void>)[] = [];

  constructor(private readonly bus: Bus) {}

  async start(): Promise<void> {
    // A scope names a model in the transaction of a flag's change.
    for (const channel of [VEHICLE_MODELS_CHANGED, FLAGS_CHANGED])
      this.#unsubscribe.push(await this.bus.subscribe(channel, () => this.#looks.soon()));
  }

  /** Streams a signal for each moment from now on at which there may be news. Ends when the signals close. */
  signals(): AsyncIterableIterator<boolean> {
    return mapStream(on(this.#emitter, SIGNAL, { close: [CLOSED] }), () => true);
  }

  async close(): Promise<void> {
    this.#looks.close();
    this.#emitter.emit(CLOSED);
    await Promise.all(this.#unsubscribe.map((unsubscribe) => unsubscribe()));
  }
}
