import { describe, expect, it } from '@jest/globals';
import { compileFlag, evaluateFlag } from '../evaluate.ts';
import type { JsonValue, RuleDefinition } from '../../model.ts';
import { signedConditions, whitelistDigest } from './whitelist-digest.ts';

const VIN = 'KMH1234567890ABCD';
const OTHER_VIN = 'KMH9876543210ZYXW';

const rule = (conditions: JsonValue): RuleDefinition => ({
  id: 'r1',
  type: 'vehicle_whitelist',
  priority: 1,
  enabled: true,
  conditions,
});

describe('whitelistDigest', () => {
  it('is the first 8 bytes of SHA-256 of rule id and VIN in base64url', () => {
    // printf 'r1:KMH1234567890ABCD' | sha256sum
    expect(whitelistDigest('r1', VIN)).toBe('8wxYcH24VB4');
    expect(whitelistDigest('r2', VIN)).not.toBe(whitelistDigest('r1', VIN));
  });
});

describe('signedConditions', () => {
  it('replaces VINs by digests whose order does not depend on theirs', () => {
    const signed = signedConditions(rule({ vins: [VIN, OTHER_VIN] }));
    expect(signed).toEqual({ digests: [whitelistDigest('r1', VIN), whitelistDigest('r1', OTHER_VIN)].sort() });
    expect(signedConditions(rule({ vins: [OTHER_VIN, VIN] }))).toEqual(signed);
  });

  it('leaves digests and the conditions of other rules as they are', () => {
    const signed = signedConditions(rule({ vins: [VIN] }));
    expect(signedConditions(rule(signed))).toEqual(signed);
    const conditions = { regions: ['EU'] };
    expect(signedConditions({ id: 'r1', type: 'vehicle_target', conditions })).toBe(conditions);
  });

  it.each([
    [{ vins: [VIN, 'wrong'] }],
    [[VIN]],
    [null],
    [{ digests: ['short'] }],
    [{ digests: VIN }],
    [{ digests: [], vins: [VIN] }],
  ])('lets no VIN out of a whitelist that cannot be read: %j', (conditions) => {
    expect(signedConditions(rule(conditions as JsonValue))).toEqual({ digests: [] });
  });

  it('gives a form that matches the same vehicles, again and in turn', () => {
    const flag = compileFlag({
      key: 'k',
      environment: 'production',
      type: 'boolean',
      safetyLevel: 'ASIL-B',
      enabled: true,
      defaultValue: false,
      revision: 1,
      rules: [{ ...rule(null), conditions: signedConditions(rule({ vins: [VIN] })) }],
    });
    for (const [vin, value] of [
      [VIN, true],
      [VIN, true],
      [OTHER_VIN, false],
      ['', false],
      [VIN, true],
    ] as const) {
      expect(evaluateFlag(flag, { vin }).value).toBe(value);
    }
  });

  it('matches nobody, readably, when the list of digests is empty', () => {
    const flag = compileFlag({
      key: 'k',
      environment: 'production',
      type: 'boolean',
      safetyLevel: 'ASIL-B',
      enabled: true,
      defaultValue: false,
      revision: 1,
      rules: [rule({ digests: [] })],
    });
    expect(flag.unreadableRules).toEqual([]);
    expect(evaluateFlag(flag, { vin: VIN }).value).toBe(false);
  });
});
