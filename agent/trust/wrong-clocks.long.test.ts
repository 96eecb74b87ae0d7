/**
 * Real processes whose clocks are wrong by years, are set while they run and between starts, and make certificates
 * invalid.
 */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from '@jest/globals';
import { createAuthority } from '../testing/certificates.ts';
import { ClockedCommand, NO_FAKETIME, type ClockedAgent } from '../testing/clocked-agent.ts';
import { TestControlPlane } from '../testing/control-plane.ts';
import { TestVehicle } from '../testing/test-vehicle.ts';
import { eventually } from '../../core/testing/eventually.ts';
import { TlsFront } from '../testing/tls-front.ts';
import { describeUnless } from '../../core/testing/unless.ts';
import { ON } from '../testing/rules.ts';

const HOUR_SECONDS = 3_600;
const DAY = 24 * HOUR_SECONDS;
const YEAR = 365 * DAY;
const NOWHERE = ['--url', 'ws://127.0.0.1:1/graphql'];
const FRESH = { value: true, reason: 'SPLIT' };
const STALE = { value: false, reason: 'STALE' };

describeUnless(NO_FAKETIME)('a vehicle whose clock is wrong', () => {
  let command: ClockedCommand;
  let plane: TestControlPlane;
  let vehicle: TestVehicle;

  beforeAll(async () => {
    command = await new ClockedCommand().build();
  });
  afterAll(() => command.dispose());

  beforeEach(async () => {
    plane = await TestControlPlane.start();
    vehicle = await TestVehicle.create(plane);
    await plane.put('a', { rules: [ON] });
  });
  afterEach(async () => {
    await vehicle.dispose();
    await plane.stop();
  });

  const wrongBy = (seconds: number) => `${seconds < 0 ? '' : '+'}${seconds}s`;
  const online = () => ['--url', plane.url];
  const isFresh = async (agent: ClockedAgent) => {
    const { staleFlags, proof } = await agent.status();
    return proof !== null && staleFlags === 0;
  };
  const fresh = (agent: ClockedAgent) => eventually(() => isFresh(agent), 'its flags are fresh');

  test.each([
    ['50 years behind', -50 * YEAR],
    ['two days behind', -2 * DAY],
    ['right', 0],
    ['eight days ahead', 8 * DAY],
    ['ten years ahead', 10 * YEAR],
  ])('%s has its flags at once, for 6 d 23 h without contact and not for 7 d 1 h', async (_what, error) => {
    const first = command.start(vehicle, wrongBy(error), online());
    await fresh(first);
    expect(await first.evaluate('a')).toMatchObject(FRESH);
    // The answer that assigns the partition proves the time as well.
    expect(plane.nonces).toHaveLength(1);
    const { clockOffsetSeconds, refusals } = await first.status();
    expect(Math.abs(clockOffsetSeconds! + error)).toBeLessThan(10);
    expect(refusals).toEqual({});
    expect(plane.syncs.length).toBeLessThanOrEqual(2);
    // The agent is killed, so it cannot store its state.
    await first.stop('SIGKILL');
    const within = command.start(vehicle, wrongBy(error + 7 * DAY - HOUR_SECONDS), NOWHERE);
    expect(await within.evaluate('a')).toMatchObject(FRESH);
    within.set(wrongBy(error + 7 * DAY + HOUR_SECONDS));
    expect(await within.evaluate('a')).toMatchObject(STALE);
    await within.stop();
  });

  test('and that begins at the same time at each start has its flags, and is not asked more than once for it', async () => {
    const first = command.start(vehicle, '@2020-01-01 00:00:00', online());
    await fresh(first);
    await first.stop();
    for (let start = 0; start < 2; start++) {
      const again = command.start(vehicle, '@2020-01-01 00:00:00', start === 0 ? NOWHERE : online());
      expect(await again.evaluate('a')).toMatchObject(FRESH);
      await again.stop();
    }
    expect(plane.nonces).toHaveLength(1);
  });

  test('by two years for a while, and by decades after it, is stale for moments only, and starts no more full syncs', async () => {
    const agent = command.start(vehicle, wrongBy(0), online());
    await fresh(agent);
    agent.set(wrongBy(2 * YEAR));
    await eventually(() => plane.nonces.length === 2, 'it has asked with a nonce');
    await fresh(agent);
    agent.set(wrongBy(0));
    await eventually(async () => (await agent.status()).syncCount > 0, 'the clock is seen');
    expect(await agent.evaluate('a')).toMatchObject(FRESH);
    agent.set(wrongBy(-50 * YEAR));
    expect(await agent.evaluate('a')).toMatchObject(FRESH);
    agent.set(wrongBy(0));
    await plane.put('a', { rules: [ON], defaultValue: true });
    await eventually(async () => (await agent.status()).revision === 2, 'it follows');
    expect(await isFresh(agent)).toBe(true);
    expect(plane.syncs.filter((since) => since === 0)).toHaveLength(1);
    expect(plane.syncs.length).toBeLessThan(6);
    expect(plane.nonces).toHaveLength(2);
    await agent.stop();
  });

  test('is not stale because the control plane is two days ahead', async () => {
    plane.now = () => Date.now() + 2 * DAY * 1000;
    const agent = command.start(vehicle, wrongBy(0), online());
    await fresh(agent);
    expect(await agent.evaluate('a')).toMatchObject(FRESH);
    expect(Math.abs((await agent.status()).clockOffsetSeconds! - 2 * DAY)).toBeLessThan(10);
    await agent.stop();
  });

  test('so that no certificate is valid yet says so, goes on by age, and connects by itself once it is right', async () => {
    const authority = createAuthority('Carmaker authority');
    const front = await TlsFront.open(Number(new URL(plane.url).port), authority.issue(['localhost']));
    const ca = join(vehicle.folder, 'ca.pem');
    await writeFile(ca, authority.certificate);
    const secure = ['--url', `wss://localhost:${front.port}/graphql`, '--ca', ca];
    try {
      const first = command.start(vehicle, wrongBy(0), secure);
      await fresh(first);
      await first.stop();
      const agent = command.start(vehicle, wrongBy(-50 * YEAR), secure);
      await eventually(async () => (await agent.status()).connectionFault !== null, 'it says why');
      const fault =
        /certificate is not yet valid.*; this vehicle's clock says 19\d\d-.*If that is wrong, set the clock/;
      expect((await agent.status()).connectionFault).toMatch(fault);
      expect(agent.log).toMatch(fault);
      expect(await agent.evaluate('a')).toMatchObject(FRESH);
      agent.set(wrongBy(0));
      await eventually(async () => (await agent.status()).connected, 'it connects');
      await plane.put('a', { rules: [] });
      await eventually(async () => (await agent.status()).revision === 2, 'it follows');
      expect((await agent.status()).connectionFault).toBeNull();
      await agent.stop();
    } finally {
      await front.close();
    }
  });
});
