/** Changes that can have moved vehicles from one partition to another, as the flags subgraph gives them to gateways. */
import { is } from '../../json/shape.ts';

/** The news in the form in which a subgraph sends them. Times are milliseconds since 1970, by the database's clock. */
export interface PartitionNewsJson {
  /** The time when the read began. */
  readonly readAt: number;
  /** The models that a scope has named for the first time. Their vehicles leave the partition of other models. */
  readonly named: { readonly environment: string; readonly model: string }[];
  /** The vehicles that were registered as another model, by time and then VIN; not more than one page. */
  readonly vehicles: { readonly vin: string; readonly at: number }[];
}

const isNews = is.shape({
  readAt: is.number,
  named: is.listOf(is.shape({ environment: is.string, model: is.string })),
  vehicles: is.listOf(is.shape({ vin: is.string, at: is.number })),
});

/** Reads the news that a subgraph has sent; null for anything else. */
export function readPartitionNews(value: unknown): PartitionNewsJson | null {
  return isNews(value) ? value : null;
}
