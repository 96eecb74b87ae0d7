import { describe, expect, test } from '@jest/globals';
import { FleetFlagError } from '../../errors.ts';
import type { JsonValue, RuleType } from '../../model.ts';
import { validateConditions } from '../../validation/validate-rule.ts';
import { ownConditions, parseSegment, readSegmentKey, readTag, segmentOf, tagsOf } from './segment.ts';

const VIN = 'KMH1234567890ABCD';

function faultOf(run: () => unknown): [string, string | undefined] | null {
  try {
    run();
    return null;
  } catch (error) {
    if (!(error instanceof FleetFlagError)) throw error;
    return [error.code, error.details.field];
  }
}

describe('the conditions of a segment', () => {
  test.each<[JsonValue]>([
    [{ models: ['EV9'] }],
    [{ sw_version: '>=2.5', regions: ['EU'] }],
    [{ vins: [VIN] }],
    [{ tags: ['beta', 'press.fleet'] }],
    [{ all: [{ attribute: 'plan', operator: 'eq', values: ['premium'] }] }],
  ])('may be %j', (conditions) => {
    expect(parseSegment(conditions, 'conditions')).toBe(conditions);
  });

  test.each<[JsonValue, string, string?]>([
    [{}, 'conditions'],
    [null, 'conditions'],
    [{ colour: ['red'] }, 'conditions.colour'],
    [{ models: [] }, 'conditions.models'],
    [{ sw_version: '>=3 <2' }, 'conditions.sw_version'],
    [{ vins: [VIN, 'KMH'] }, 'conditions.vins.1'],
    [{ vins: Array.from({ length: 10_001 }, () => VIN) }, 'conditions.vins', 'LIMIT_EXCEEDED'],
    [{ all: [] }, 'conditions.all'],
    [{ all: [{ attribute: 'plan' }] }, 'conditions.all.0.operator'],
    [{ tags: ['beta', 'beta'] }, 'conditions.tags.1'],
    [{ tags: ['two words'] }, 'conditions.tags.0'],
    [{ tags: ['x'.repeat(51)] }, 'conditions.tags.0'],
    [{ tags: Array.from({ length: 51 }, (_, index) => `t${index}`) }, 'conditions.tags', 'LIMIT_EXCEEDED'],
  ])('may not be %j', (conditions, field, code = 'BAD_USER_INPUT') => {
    expect(faultOf(() => parseSegment(conditions, 'conditions'))).toEqual([code, field]);
  });

  test('name tags as text', () => {
    expect(tagsOf({ tags: ['beta', 7] })).toEqual(['beta']);
    expect(tagsOf({ models: ['EV9'] })).toEqual([]);
    expect(readTag('beta', 'tags.0')).toBe('beta');
    expect(faultOf(() => readTag(7, 'tags.0'))).toEqual(['BAD_USER_INPUT', 'tags.0']);
    expect(readSegmentKey('eu_test_fleet', 'key')).toBe('eu_test_fleet');
    expect(faultOf(() => readSegmentKey('two words', 'key'))).toEqual(['BAD_USER_INPUT', 'key']);
  });
});

describe('the conditions of a rule', () => {
  test.each<[RuleType, JsonValue]>([
    ['vehicle_target', { segment: 'eu' }],
    ['vehicle_target', { segment: 'eu', models: ['EV9'] }],
    ['percentage_rollout', { segment: 'eu', rollout_percentage: 5 }],
    ['vehicle_whitelist', { segment: 'eu', vins: [VIN] }],
    ['user_attribute', { segment: 'eu', attribute: 'plan', exists: true }],
  ])('of a %s may name a segment: %j', (type, conditions) => {
    expect(validateConditions(type, conditions, 'conditions')).toEqual(conditions);
    expect(segmentOf({ conditions })).toBe('eu');
    expect(ownConditions(conditions)).not.toHaveProperty('segment');
  });

  test.each<[RuleType, JsonValue, string]>([
    ['vehicle_target', { segment: '' }, 'conditions.segment'],
    ['vehicle_target', { segment: null }, 'conditions.segment'],
    ['vehicle_target', { segment: 'eu', colour: 'red' }, 'conditions.colour'],
    ['percentage_rollout', { segment: 'eu' }, 'conditions.rollout_percentage'],
    ['vehicle_whitelist', { segment: 'eu' }, 'conditions.vins'],
    ['user_attribute', { segment: 'eu' }, 'conditions.attribute'],
    ['kill_switch', { segment: 'eu', force_disabled: true }, 'conditions.segment'],
    ['vehicle_target', { models: ['EV9'], audience: { regions: ['EU'] } }, 'conditions.audience'],
  ])('of a %s may not be %j', (type, conditions, field) => {
    expect(faultOf(() => validateConditions(type, conditions, 'conditions'))).toEqual(['BAD_USER_INPUT', field]);
  });

  test('that are no object name none', () => {
    expect(segmentOf({ conditions: null })).toBeNull();
    expect(ownConditions(['EV9'])).toEqual(['EV9']);
  });
});
