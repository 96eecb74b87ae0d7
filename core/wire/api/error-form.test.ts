import { describe, expect, it } from '@jest/globals';
import { FleetFlagError } from '../../errors.ts';
import { clientError } from './error-form.ts';

describe('clientError', () => {
  it('lets a refusal of ours through as it is, thrown bare or inside another error', () => {
    const refusal = new FleetFlagError('CONFLICT', 'Changed since.', { currentRevision: 7 });
    const form = { message: 'Changed since.', extensions: { code: 'CONFLICT', currentRevision: 7 } };
    expect(clientError(refusal)).toEqual(form);
    expect(clientError({ message: 'x', path: ['flag', 0], originalError: refusal })).toEqual({
      ...form,
      path: ['flag', 0],
    });
  });

  it('keeps of a refusal that came as JSON only what the catalogue knows, in its type', () => {
    const extensions = {
      code: 'RATE_LIMITED',
      field: 'a',
      currentRevision: 1,
      limit: 2,
      retryAfter: 3,
      serviceName: 'flags',
      stacktrace: ['x'],
    };
    expect(clientError({ message: 'Slow down.', path: ['a'], extensions })).toEqual({
      message: 'Slow down.',
      path: ['a'],
      extensions: { code: 'RATE_LIMITED', field: 'a', currentRevision: 1, limit: 2, retryAfter: 3 },
    });
    const fault = { field: 'input.3.vin', message: 'Wrong.' };
    const faults = [{ ...fault, stack: 'x' }, { field: 1, message: 'x' }, { field: 'x' }, null, 'x'];
    expect(clientError({ message: 'Wrong.', extensions: { code: 'BAD_USER_INPUT', faults } }).extensions).toEqual({
      code: 'BAD_USER_INPUT',
      faults: [fault],
    });
    const wrong = { code: 'RATE_LIMITED', field: 1, faults: {}, currentRevision: '1', limit: null, retryAfter: {} };
    expect(clientError({ message: 'Slow down.', extensions: wrong }).extensions).toEqual({ code: 'RATE_LIMITED' });
  });

  it.each([
    ['without extensions', undefined],
    ['with a code that is not ours', { code: 'DOWNSTREAM_SERVICE_ERROR', serviceName: 'flags' }],
    ['with a code that every object has', { code: 'constructor' }],
    ['with a code that is no text', { code: 7 }],
    ['that calls itself internal', { code: 'INTERNAL_SERVER_ERROR', stacktrace: ['x'] }],
  ])('reveals nothing of an error %s', (_, extensions) => {
    const form = {
      message: 'Something went wrong on our side.',
      path: ['a'],
      extensions: { code: 'INTERNAL_SERVER_ERROR' },
    };
    const error = { message: 'connect ECONNREFUSED 10.0.0.7:4001', path: ['a'], extensions };
    expect(clientError(error)).toEqual(form);
    expect(clientError(error, 'r1')).toEqual({
      ...form,
      extensions: { code: 'INTERNAL_SERVER_ERROR', requestId: 'r1' },
    });
  });
});
