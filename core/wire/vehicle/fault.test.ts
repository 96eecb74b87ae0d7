import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { FleetFlagError } from '../../errors.ts';
import { FAULT_KINDS, faultMessage, isCausedByPrograms, validateFault } from './fault.ts';

const fault = { flagKey: 'lane_keep', revision: 7, message: 'The camera gives no picture.' };

/** Gives the field of the refusal; null where the fault is accepted. */
function fieldOf(changes: Partial<typeof fault>): string | null {
  try {
    validateFault({ ...fault, ...changes }, 'input.faults.3.');
    return null;
  } catch (error) {
    if (!(error instanceof FleetFlagError) || error.code !== 'BAD_USER_INPUT') throw error;
    return error.details.field ?? '';
  }
}

describe('the message of a fault', () => {
  test('is one line without invisible characters, whatever a program reports', () => {
    expect(faultMessage(' Error: lost\n\tat drive (lane.js:1)\u202e\u0000\ud800 ')).toBe(
      'Error: lost at drive (lane.js:1)',
    );
    expect(faultMessage(' \n\u200b ')).toBe('');
  });

  test('has at most 300 characters, of which none is cut in half', () => {
    expect(faultMessage('x'.repeat(301))).toBe('x'.repeat(300));
    expect(faultMessage(`${'🚗'.repeat(299)} 🚗`)).toBe('🚗'.repeat(299));
    expect(faultMessage('🚗'.repeat(3_000))).toBe('🚗'.repeat(300));
  });

  test('stays as it is when it is made again, so that no message waits that would be refused', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 700 }), (text) => {
        const message = faultMessage(text);
        expect(faultMessage(message)).toBe(message);
        expect(message === '' || fieldOf({ message }) === null).toBe(true);
      }),
    );
  });
});

describe('a fault that a vehicle reports', () => {
  test('is accepted where it has the form', () => {
    expect(fieldOf({})).toBeNull();
  });

  test.each<[Partial<typeof fault>, string]>([
    [{ flagKey: 'no key' }, 'flagKey'],
    [{ revision: 0 }, 'revision'],
    [{ revision: -1 }, 'revision'],
    [{ revision: 1.5 }, 'revision'],
    [{ message: '' }, 'message'],
    [{ message: ' blanks ' }, 'message'],
    [{ message: 'two\nlines' }, 'message'],
    [{ message: 'x'.repeat(301) }, 'message'],
  ])('is refused at the path of its fault: %j', (changes, field) => {
    expect(fieldOf(changes)).toBe(`input.faults.3.${field}`);
  });
});

test('programs can cause what they report and what they ask wrongly, and no other fault', () => {
  expect(FAULT_KINDS.filter(isCausedByPrograms)).toEqual(['evaluation_error', 'reported_by_program']);
});
