import { expect, test } from '@jest/globals';
import { createHash } from 'node:crypto';
import { SAFETY_LEVELS, VIN_PATTERN, type FlagType } from '../../../core/model.ts';
import { validateRuleInput } from '../../../core/validation/validate-rule.ts';
import { FLAGS } from '../flags.ts';
import { DRIVEN, FLEET } from './fleet.ts';
import { checkDigit, composeVin } from './vin.ts';

test('the check digit is that of known vehicles', () => {
  // 1M8GDM9AXKP042788 and the VIN of seventeen ones are the usual examples of the calculation.
  expect(checkDigit('1M8GDM9AXKP042788')).toBe('X');
  expect(checkDigit('11111111111111111')).toBe('1');
  expect(checkDigit('5GZCZ43D13S812715')).toBe('1');
});

test('a VIN is composed of its sections, check digit included', () => {
  expect(composeVin({ manufacturer: '1M8', descriptor: 'GDM9A', year: 'K', plant: 'P', serial: 42_788 })).toBe(
    '1M8GDM9AXKP042788',
  );
});

test('the fleet has 240 different vehicles with valid VINs', () => {
  expect(FLEET).toHaveLength(240);
  expect(new Set(FLEET.map(({ vin }) => vin)).size).toBe(240);
  for (const { vin } of FLEET) {
    expect(vin).toMatch(VIN_PATTERN);
    expect(vin.charAt(8)).toBe(checkDigit(vin));
  }
});

test('the fleet is the same in every run', () => {
  expect(createHash('sha256').update(JSON.stringify(FLEET)).digest('hex')).toMatchInlineSnapshot(
    `"fea860e747378c087bfa2ceaa12bfaa6342f418e7bc79bdc98e878edf2dfd2d5"`,
  );
});

test('each model is driven in several versions and regions', () => {
  for (const model of new Set(FLEET.map((vehicle) => vehicle.model))) {
    const vehicles = FLEET.filter((vehicle) => vehicle.model === model);
    expect(new Set(vehicles.map(({ swVersion }) => swVersion)).size).toBeGreaterThanOrEqual(5);
    expect(new Set(vehicles.map(({ region }) => region)).size).toBe(4);
  }
});

test('the three driven vehicles differ in model, version and region', () => {
  for (const fact of ['vin', 'model', 'swVersion', 'region'] as const)
    expect(new Set(DRIVEN.map((vehicle) => vehicle[fact])).size).toBe(3);
});

test('the flags show every type, every safety level and every type of rule', () => {
  expect(new Set(FLAGS.map(({ type }) => type)).size).toBe(4);
  expect(new Set(FLAGS.map(({ safetyLevel }) => safetyLevel)).size).toBe(SAFETY_LEVELS.length);
  expect(new Set(FLAGS.flatMap(({ rules }) => rules.map(({ type }) => type))).size).toBe(5);
});

test.each(FLAGS.map((flag) => [flag.key, flag] as const))('the API accepts the rules of %s', (_, { type, rules }) => {
  for (const rule of rules) {
    expect(() =>
      validateRuleInput({ ...rule, type: rule.type.toLowerCase() }, type.toLowerCase() as FlagType, 'input'),
    ).not.toThrow();
  }
});
