import { describe, expect, test } from '@jest/globals';
import { FleetFlagError } from '../../../../core/errors.ts';
import { requiredSampleSize, type SampleSizeInput } from './sample-size.ts';

function refused(input: SampleSizeInput): unknown {
  try {
    return requiredSampleSize(input);
  } catch (error) {
    return error instanceof FleetFlagError ? [error.code, error.details.field] : error;
  }
}

const binary = { baseline: 0.1, minimumDetectableEffect: 0.02 };
const continuous = { baseline: 42, minimumDetectableEffect: 1, standardDeviation: 6 };

describe('requiredSampleSize', () => {
  test('has 80 % power and 95 % confidence by default', () => {
    expect(requiredSampleSize(binary)).toBe(requiredSampleSize({ ...binary, power: 0.8, confidenceLevel: 0.95 }));
    expect(
      requiredSampleSize({ ...binary, power: null, confidenceLevel: null, standardDeviation: null, relative: null }),
    ).toBe(requiredSampleSize(binary));
  });

  test('takes a relative effect as a fraction of the baseline', () => {
    expect(requiredSampleSize({ ...binary, minimumDetectableEffect: 0.2, relative: true })).toBe(
      requiredSampleSize(binary),
    );
    expect(requiredSampleSize({ ...continuous, baseline: -50, minimumDetectableEffect: 0.02, relative: true })).toBe(
      requiredSampleSize(continuous),
    );
  });

  test('is the same for an increase and a decrease of a continuous metric, and does not depend on its baseline', () => {
    expect(requiredSampleSize({ ...continuous, minimumDetectableEffect: -1 })).toBe(requiredSampleSize(continuous));
    expect(requiredSampleSize({ ...continuous, baseline: 0 })).toBe(requiredSampleSize(continuous));
  });

  test('grows with power and confidence, and is never less than two', () => {
    expect(requiredSampleSize({ ...binary, power: 0.9 })).toBeGreaterThan(requiredSampleSize(binary));
    expect(requiredSampleSize({ ...binary, confidenceLevel: 0.99 })).toBeGreaterThan(requiredSampleSize(binary));
    expect(requiredSampleSize({ ...continuous, standardDeviation: 1e-300 })).toBe(2);
  });

  test.each<[SampleSizeInput, string]>([
    [{ ...binary, baseline: 0 }, 'baseline'],
    [{ ...binary, baseline: 1 }, 'baseline'],
    [{ ...binary, baseline: 42 }, 'baseline'],
    [{ ...continuous, baseline: Number.NaN }, 'baseline'],
    [{ ...continuous, baseline: 0, relative: true }, 'baseline'],
    [{ ...binary, minimumDetectableEffect: 0 }, 'minimumDetectableEffect'],
    [{ ...binary, minimumDetectableEffect: 0.9 }, 'minimumDetectableEffect'],
    [{ ...binary, minimumDetectableEffect: -0.1 }, 'minimumDetectableEffect'],
    [{ ...binary, minimumDetectableEffect: Number.POSITIVE_INFINITY }, 'minimumDetectableEffect'],
    [{ ...continuous, standardDeviation: 0 }, 'standardDeviation'],
    [{ ...continuous, standardDeviation: -1 }, 'standardDeviation'],
    [{ ...continuous, standardDeviation: Number.POSITIVE_INFINITY }, 'standardDeviation'],
    [{ ...binary, power: 0.49 }, 'power'],
    [{ ...binary, power: 1 }, 'power'],
    [{ ...binary, confidenceLevel: 0 }, 'confidenceLevel'],
    [{ ...binary, confidenceLevel: 1 }, 'confidenceLevel'],
    [{ ...binary, confidenceLevel: Number.NaN }, 'confidenceLevel'],
  ])('refuses %j', (input, field) => {
    expect(refused(input)).toEqual(['BAD_USER_INPUT', field]);
  });

  test.each<SampleSizeInput>([
    { ...continuous, minimumDetectableEffect: 1e-9 },
    { ...continuous, minimumDetectableEffect: 5e-324 },
    { ...continuous, standardDeviation: 1e300, minimumDetectableEffect: 1e-300 },
    { ...continuous, baseline: 5e-324, minimumDetectableEffect: 0.1, relative: true },
    { baseline: 0.5, minimumDetectableEffect: 1e-200 },
  ])('says that no fleet is large enough for %j', (input) => {
    expect(refused(input)).toEqual(['LIMIT_EXCEEDED', 'minimumDetectableEffect']);
  });
});
