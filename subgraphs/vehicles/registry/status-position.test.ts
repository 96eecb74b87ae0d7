import { expect, test } from '@jest/globals';
import { pino } from 'pino';
import { eventually } from '../../../core/testing/eventually.ts';
import { createInProcessBus } from '../../shared/feeds/bus.ts';
import { statusAnnouncer } from './status-position.ts';

test('an announcement that fails is in the log with the id of its request, and is no error', async () => {
  const lines: { requestId?: string; msg: string }[] = [];
  const logger = pino({ level: 'warn' }, { write: (line: string) => lines.push(JSON.parse(line) as never) });
  const bus = { ...createInProcessBus(), publish: () => Promise.reject(new Error('The bus is away')) };
  statusAnnouncer(bus, logger)('0b9c7a54-7c2e-4f0a-9d0e-3d7f4a1b2c3d');
  const [line] = await eventually(() => (lines.length > 0 ? lines : null), 'the line');
  expect(line).toMatchObject({
    requestId: '0b9c7a54-7c2e-4f0a-9d0e-3d7f4a1b2c3d',
    msg: expect.stringMatching(/^Cannot announce/),
  });
});
