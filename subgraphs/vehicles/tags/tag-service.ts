/** Tags: words that operators give to vehicles, so that segments can select them. Source: scopes.md, "Segments". */
import { FleetFlagError, badBatch, badInput, type InputFault } from '../../../core/errors.ts';
import { MAX_TAGS, readTag } from '../../../core/evaluation/segments/segment.ts';
import { readList } from '../../../core/evaluation/rules/condition-fields.ts';
import { is } from '../../../core/json/shape.ts';
import type { CallerIdentity } from '../../../core/access/caller.ts';
import type { PrismaClient } from '../../../prisma/generated/client.ts';
import { appendAudit } from '../../shared/audit/audit-log.ts';
import { MAX_TAGGED } from '../../shared/between-subgraphs/segments.ts';
import type { Transaction } from '../../shared/postgres/transaction.ts';
import { rowsOf } from '../../shared/postgres/rows.ts';
import { findVehicles } from '../registry/vehicle-store.ts';
import { checkVin, type Vehicle } from '../registry/vehicle.ts';

/** The tags to give to one vehicle, and to take from it. */
export interface TagEdit {
  readonly vin: string;
  readonly add?: readonly string[] | null | undefined;
  readonly remove?: readonly string[] | null | undefined;
  /** All tags that the caller has seen; null: not compared. */
  readonly expectedTags?: readonly string[] | null | undefined;
}

/** An edit that has been checked. */
interface ReadEdit {
  readonly vin: string;
  readonly add: ReadonlySet<string>;
  readonly remove: ReadonlySet<string>;
  readonly expected: ReadonlySet<string> | null;
}

/** The most vehicles in one batch. */
const MAX_BATCH = 1_000;

function readTags(tags: readonly string[] | null | undefined, path: string): ReadonlySet<string> {
  return tags === null || tags === undefined || tags.length === 0 ? new Set() : readList(tags, path, readTag, MAX_TAGS);
}

/**
 * Reads a whole batch before any of it is written.
 *
 * @throws LIMIT_EXCEEDED (1,000), or BAD_USER_INPUT with every fault of every vehicle, such as `input.3.add.0`
 */
function readTagEdits(input: readonly TagEdit[]): ReadEdit[] {
  if (input.length === 0) throw badInput('input', 'The list of vehicles must not be empty.');
  if (input.length > MAX_BATCH)
    throw new FleetFlagError('LIMIT_EXCEEDED', `At most ${MAX_BATCH} vehicles may be tagged at once.`, {
      field: 'input',
      limit: MAX_BATCH,
    });
  const faults: InputFault[] = [];
  const seen = new Set<string>();
  const edits: ReadEdit[] = [];
  for (const [index, edit] of input.entries()) {
    try {
      const path = `input.${index}`;
      checkVin(edit.vin, `${path}.vin`);
      if (seen.has(edit.vin)) throw badInput(`${path}.vin`, 'This VIN is in the batch twice.');
      seen.add(edit.vin);
      const [add, remove] = [readTags(edit.add, `${path}.add`), readTags(edit.remove, `${path}.remove`)];
      for (const [place, tag] of [...add].entries())
        if (remove.has(tag)) throw badInput(`${path}.add.${place}`, 'The same tag is to be removed.');
      const { expectedTags } = edit;
      const expected = expectedTags == null ? null : readTags(expectedTags, `${path}.expectedTags`);
      edits.push({ vin: edit.vin, add, remove, expected });
    } catch (error) {
      if (!(error instanceof FleetFlagError) || error.code !== 'BAD_USER_INPUT') throw error;
      faults.push({ field: error.details.field ?? `input.${index}`, message: error.message });
    }
  }
  const [first, ...others] = faults;
  if (first !== undefined) throw badBatch(first, others);
  return edits;
}

/** One vehicle whose tags change. */
interface TagChange {
  readonly vin: string;
  readonly tags: readonly string[];
  readonly touched: readonly string[];
}

/** Gives and takes tags. */
export class TagService {
  /** @param announce announces changed tags on the bus; called after the commit */
  constructor(
    private readonly prisma: PrismaClient,
    private readonly announce: (requestId: string) => void,
  ) {}

  /**
   * Changes the tags of 1 to 1,000 vehicles, all or none, and gives the vehicles in the order of `input`. A batch that
   * changes nothing leaves no audit row.
   *
   * @throws as `readTagEdits`; NOT_FOUND at the path of a VIN that is not registered; CONFLICT at the path of
   *   expected tags where the vehicle has others; LIMIT_EXCEEDED for a vehicle with more than 50 tags, and where a
   *   segment's tags would select more than 10,000 vehicles
   */
  async set(identity: CallerIdentity, input: readonly TagEdit[]): Promise<Vehicle[]> {
    const edits = readTagEdits(input);
    const vins = edits.map(({ vin }) => vin);
    const { vehicles, changed } = await this.prisma.$transaction(async (tx) => {
      // The order of VINs lets two batches with the same vehicles wait for each other instead of deadlocking.
      await tx.$executeRaw`SELECT FROM vehicles WHERE vin = ANY(${vins}) ORDER BY vin FOR UPDATE`;
      const present = new Map((await findVehicles(tx, vins)).map((vehicle) => [vehicle.vin, vehicle]));
      const changes = edits.flatMap((edit, index) => changeOf(present.get(edit.vin), edit, `input.${index}`));
      if (changes.length > 0) await write(tx, identity, changes);
      return { vehicles: await findVehicles(tx, vins), changed: changes.length > 0 };
    });
    if (changed) this.announce(identity.origin.requestId);
    const found = new Map(vehicles.map((vehicle) => [vehicle.vin, vehicle]));
    return vins.map((vin) => found.get(vin)).filter((vehicle) => vehicle !== undefined);
  }
}

function changeOf(vehicle: Vehicle | undefined, { vin, add, remove, expected }: ReadEdit, path: string): TagChange[] {
  if (vehicle === undefined)
    throw new FleetFlagError('NOT_FOUND', `There is no vehicle ${vin}; registerVehicles makes one.`, {
      field: `${path}.vin`,
    });
  if (expected !== null && (expected.size !== vehicle.tags.length || !vehicle.tags.every((tag) => expected.has(tag))))
    throw new FleetFlagError('CONFLICT', `The tags of ${vin} have changed: ${vehicle.tags.join(', ') || 'none'}.`, {
      field: `${path}.expectedTags`,
    });
  const tags = [...new Set([...vehicle.tags.filter((tag) => !remove.has(tag)), ...add])].sort();
  if (tags.length > MAX_TAGS)
    throw new FleetFlagError('LIMIT_EXCEEDED', `A vehicle may have at most ${MAX_TAGS} tags.`, {
      field: `${path}.add`,
      limit: MAX_TAGS,
    });
  const touched = [...new Set([...vehicle.tags, ...tags])].filter(
    (tag) => vehicle.tags.includes(tag) !== tags.includes(tag),
  );
  return touched.length === 0 ? [] : [{ vin, tags, touched }];
}

async function write(tx: Transaction, identity: CallerIdentity, changes: readonly TagChange[]): Promise<void> {
  await tx.$executeRaw`
    UPDATE vehicles SET tags = ARRAY(SELECT jsonb_array_elements_text(batch.tags)), updated_at = NOW()
    FROM (SELECT value->>'vin' AS vin, value->'tags' AS tags FROM jsonb_array_elements(${JSON.stringify(changes)}::jsonb)) AS batch
    WHERE vehicles.vin = batch.vin`;
  const touched = [...new Set(changes.flatMap((change) => change.touched))].sort();
  // The order of tags lets two batches wait for each other instead of deadlocking. The flags subgraph compares the
  // counts.
  await tx.$executeRaw`
    INSERT INTO vehicle_tags AS known (tag, changes) SELECT tag, 1 FROM unnest(${touched}::text[]) AS batch (tag) ORDER BY tag
    ON CONFLICT (tag) DO UPDATE SET changes = known.changes + 1`;
  await checkSegments(tx, touched);
  await appendAudit(tx, identity, {
    action: 'TAG_VEHICLES',
    after: {
      count: changes.length,
      tags: touched,
      vehicles: Object.fromEntries(changes.map(({ vin, tags }) => [vin, [...tags]])),
    },
  });
}

/**
 * Refuses tags that would select more vehicles than a signed list can hold. Reads another subgraph's table:
 * docs/decisions/data/reading-another-subgraphs-table.md.
 */
async function checkSegments(tx: Transaction, touched: readonly string[]): Promise<void> {
  const rows = await rowsOf(tx, { key: is.string, count: is.bigint })`
    SELECT s.key, (SELECT count(*) FROM (SELECT FROM vehicles WHERE tags && s.tags LIMIT ${MAX_TAGGED + 1}) AS tagged) AS count
    FROM (SELECT key, ARRAY(SELECT jsonb_array_elements_text(conditions->'tags')) AS tags FROM segments WHERE conditions ? 'tags') AS s
    WHERE s.tags && ${[...touched]}::text[] ORDER BY s.key`;
  const full = rows.find(({ count }) => Number(count) > MAX_TAGGED);
  if (full !== undefined)
    throw new FleetFlagError(
      'LIMIT_EXCEEDED',
      `The tags of the segment ${full.key} would select more than ${MAX_TAGGED} vehicles, the most of a whitelist.`,
      { field: 'input', limit: MAX_TAGGED },
    );
}
