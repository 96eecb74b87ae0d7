import { describe, expect, test } from '@jest/globals';
import type { FleetFlagError } from '../../errors.ts';
import { EVALUATIONS_METRIC, validateBatchId, validateMeasured, validateMetricName, validateTags } from './metric.ts';

const measured = { flagKey: 'eco_mode', variant: 'treatment', metricName: 'charge_minutes', value: 12.5 };

function fieldOf(act: () => unknown): unknown {
  try {
    act();
  } catch (error) {
    return (error as FleetFlagError).code === 'BAD_USER_INPUT' ? (error as FleetFlagError).details.field : error;
  }
  return 'nothing refused';
}

describe('a measurement', () => {
  test('gives its tags as they are stored', () => {
    expect(
      validateMeasured({ ...measured, tags: { road: 'motorway', speed: 120, rain: false } }, 'input.items.0.'),
    ).toEqual({ metricName: 'charge_minutes', tags: { road: 'motorway', speed: 120, rain: false } });
    for (const tags of [undefined, null, {}])
      expect(validateMeasured({ ...measured, tags }, 'input.items.0.').tags).toBeNull();
    const count = { ...measured, metricName: EVALUATIONS_METRIC, value: 40 };
    expect(validateMeasured(count, 'i.')).toEqual({ metricName: EVALUATIONS_METRIC, tags: null });
  });

  test.each([
    [{ flagKey: 'no key' }, 'i.flagKey'],
    [{ variant: '' }, 'i.variant'],
    [{ variant: 'x'.repeat(51) }, 'i.variant'],
    [{ value: NaN }, 'i.value'],
    [{ value: Infinity }, 'i.value'],
    [{ value: 2 ** 53 }, 'i.value'],
    [{ value: -1e20 }, 'i.value'],
    [{ tags: { serial: 9007199254740993 } }, 'i.tags.serial'],
    [{ metricName: ' ' }, 'i.metricName'],
    [{ metricName: '$other' }, 'i.metricName'],
    [{ metricName: 'a\0' }, 'i.metricName'],
    [{ metricName: 'a\nb' }, 'i.metricName'],
    [{ metricName: 'a\u200bb' }, 'i.metricName'],
    [{ metricName: 'x'.repeat(101) }, 'i.metricName'],
    [{ metricName: EVALUATIONS_METRIC, value: 1.5 }, 'i.value'],
    [{ metricName: EVALUATIONS_METRIC, value: -1 }, 'i.value'],
    [{ tags: [] }, 'i.tags'],
    [{ tags: { deep: {} } }, 'i.tags.deep'],
    [{ tags: { none: null } }, 'i.tags.none'],
    [{ tags: { big: Infinity } }, 'i.tags.big'],
    [{ tags: { half: '\ud800' } }, 'i.tags.half'],
    [{ tags: { '': 1 } }, 'i.tags'],
    [{ tags: { 'a\0': 1 } }, 'i.tags'],
    [{ tags: JSON.parse('{"__proto__": 1}') as unknown }, 'i.tags.__proto__'],
    [{ tags: { ['x'.repeat(65)]: 1 } }, 'i.tags'],
    [{ tags: { long: 'ä'.repeat(600) } }, 'i.tags'],
    [{ tags: Object.fromEntries(Array.from({ length: 17 }, (_, i) => [`t${i}`, i])) }, 'i.tags'],
  ])('with %j is refused at %s', (fault, field) => {
    expect(fieldOf(() => validateMeasured({ ...measured, ...fault }, 'i.'))).toBe(field);
  });

  test('a name is measured in characters, not code units, and must be text', () => {
    expect(validateMetricName('🚗'.repeat(100), 'name')).toHaveLength(200);
    expect(fieldOf(() => validateMetricName(5, 'name'))).toBe('name');
    expect(validateMeasured({ ...measured, metricName: ' charge_minutes ' }, 'i.').metricName).toBe('charge_minutes');
    expect(fieldOf(() => validateTags('text', 'tags'))).toBe('tags');
  });
});

test('a batch id is short and plain', () => {
  expect(validateBatchId('0198f0aa-5c3e-7b1d:1', 'input.batchId')).toBe('0198f0aa-5c3e-7b1d:1');
  for (const id of ['', 'a b', 'x'.repeat(65), 'ä'])
    expect(fieldOf(() => validateBatchId(id, 'input.batchId'))).toBe('input.batchId');
});
