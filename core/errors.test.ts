import { describe, expect, it } from '@jest/globals';
import { ERROR_CATALOGUE, FleetFlagError, badBatch, badInput } from './errors.ts';

describe('FleetFlagError', () => {
  it('carries its code, message and details, and its cause apart from them', () => {
    const cause = new Error('socket closed');
    const error = new FleetFlagError('RATE_LIMITED', 'Slow down.', { retryAfter: 3 }, { cause });
    expect(error).toMatchObject({
      name: 'FleetFlagError',
      code: 'RATE_LIMITED',
      message: 'Slow down.',
      details: { retryAfter: 3 },
      cause,
    });
  });

  it('has no details unless they are given', () => {
    expect(new FleetFlagError('NOT_FOUND', 'No such flag.').details).toEqual({});
  });
});

describe('badInput', () => {
  it('names the field by its dotted path', () => {
    expect(badInput('input.key', 'Wrong.')).toMatchObject({
      code: 'BAD_USER_INPUT',
      message: 'Wrong.',
      details: { field: 'input.key' },
    });
  });
});

describe('badBatch', () => {
  it('names all faults, and the first as its own', () => {
    const [first, second] = [
      { field: 'input.3.vin', message: 'Wrong.' },
      { field: 'input.7.vin', message: 'Also wrong.' },
    ] as const;
    expect(badBatch(first, [])).toMatchObject({
      code: 'BAD_USER_INPUT',
      message: 'Wrong.',
      details: { field: 'input.3.vin', faults: [first] },
    });
    expect(badBatch(first, [second])).toMatchObject({
      message: 'Wrong. (1 more: see extensions.faults.)',
      details: { field: 'input.3.vin', faults: [first, second] },
    });
  });
});

describe('the catalogue', () => {
  it.each(Object.entries(ERROR_CATALOGUE))(
    'gives %s an HTTP error status and a meaning',
    (code, { httpStatus, meaning }) => {
      expect(code).toMatch(/^[A-Z][A-Z_]+$/);
      expect(httpStatus).toBeGreaterThanOrEqual(400);
      expect(httpStatus).toBeLessThan(600);
      expect(meaning.endsWith('.')).toBe(true);
    },
  );
});
