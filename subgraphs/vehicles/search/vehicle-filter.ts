/** The filters of a list of vehicles. */
import { badInput } from '../../../core/errors.ts';
import { readList, readVersionRange } from '../../../core/evaluation/rules/condition-fields.ts';
import { MAX_TAGS, readTag } from '../../../core/evaluation/segments/segment.ts';
import { checkText } from '../../../core/json/json-value.ts';
import type { VehicleFilter } from '../generated/resolvers.ts';
import type { VehicleStatus } from '../registry/vehicle.ts';

/** A filter that has been checked. */
export interface ReadFilter {
  readonly model: string | null;
  readonly region: string | null;
  readonly status: VehicleStatus | null;
  /** Checks whether a vehicle's version matches; null matches every version. */
  readonly hasVersion: ((swVersion: string) => boolean) | null;
  /** The search text in capital letters, not blank, without surrounding blanks. */
  readonly search: string | null;
  /** The tags of which a vehicle must have all; an empty list matches every vehicle. */
  readonly tags: readonly string[];
}

/** The most characters of a search; longer than any VIN or model. */
const MAX_SEARCH = 100;

/**
 * Gives the text without surrounding blanks, which no stored fact has. Throws BAD_USER_INPUT at `path` for a blank or
 * malformed text.
 */
export function readText(text: string | null | undefined, path: string): string | null {
  if (text === null || text === undefined) return null;
  checkText(text, path);
  return text.trim();
}

function readVersions(text: string | null, path: string): ReadFilter['hasVersion'] {
  return text === null ? null : readVersionRange(text, path);
}

function readSearch(text: string | null, path: string): string | null {
  if (text === null || text.trim() === '') return null;
  if (text.length > MAX_SEARCH) throw badInput(path, `A search must have at most ${MAX_SEARCH} characters.`);
  return text.trim().toUpperCase();
}

function readTags(tags: readonly string[], path: string): string[] {
  return tags.length === 0 ? [] : [...readList(tags, path, readTag, MAX_TAGS)];
}

/**
 * Reads a filter; null or absent fields match every vehicle. Throws BAD_USER_INPUT at `filter.…` for a malformed
 * version range or one that no version can satisfy, and for a blank or malformed text.
 */
export function readFilter(filter: VehicleFilter): ReadFilter {
  return {
    model: readText(filter.model, 'filter.model'),
    region: readText(filter.region, 'filter.region'),
    status: filter.status ?? null,
    hasVersion: readVersions(readText(filter.swVersion, 'filter.swVersion'), 'filter.swVersion'),
    search: readSearch(readText(filter.search, 'filter.search'), 'filter.search'),
    tags: readTags(filter.tags ?? [], 'filter.tags'),
  };
}
