import { describe } from '@jest/globals';
import { createInProcessBus } from './bus.ts';
import { busContract } from '../testing/bus-contract.ts';

describe('the bus in one process', () => {
  busContract(async () => {
    const bus = createInProcessBus();
    return [bus, bus];
  });
});
