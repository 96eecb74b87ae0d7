import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { compactVerify, importJWK } from 'jose';
import { readVehicleFacts, VEHICLE_FACTS_JWS_TYPE } from '../../../core/wire/vehicle/vehicle-facts.ts';
import { refusal, user } from '../../shared/testing/asking.ts';
import { watchDatabase } from '../../shared/testing/watched-database.ts';
import { registeredFacts } from '../../shared/between-subgraphs/vehicle-facts.ts';
import { FlagsUnderTest } from '../testing/flags-under-test.ts';

const FACTS = 'query ($nonce: String!) { vehicleFacts(nonce: $nonce) }';
const nonce = randomBytes(16).toString('base64url');
const vinOf = (index: number) => `KMHK281HGNU${String(index).padStart(6, '0')}`;
const vehicle = (index: number) => ({ kind: 'vehicle', vin: vinOf(index), environment: 'staging' }) as const;

let flags: FlagsUnderTest;
beforeAll(async () => {
  flags = await FlagsUnderTest.start();
  await flags.prisma.vehicle.createMany({
    data: Array.from({ length: 200 }, (_, index) => ({
      vin: vinOf(index),
      model: `Model ${index}`,
      swVersion: '2.5.0',
      region: 'EU',
      status: 'offline',
    })),
  });
});
afterAll(() => flags.remove());

test('a vehicle gets its own registered facts, signed for this purpose and its nonce', async () => {
  const { vehicleFacts } = await flags.ok<{ vehicleFacts: string }>(FACTS, { nonce }, vehicle(7));
  const { payload, protectedHeader } = await compactVerify(
    vehicleFacts,
    await importJWK(flags.signer.publicKeys.keys[0]!, 'EdDSA'),
  );
  expect(protectedHeader).toMatchObject({ typ: VEHICLE_FACTS_JWS_TYPE, kid: flags.signer.kid });
  const read = readVehicleFacts(JSON.parse(Buffer.from(payload).toString()));
  expect(read).toEqual({ v: 1, vin: vinOf(7), model: 'Model 7', swVersion: '2.5.0', region: 'EU', nonce });
});

test('no other caller may ask, and a vehicle that is not registered gets an error', async () => {
  for (const caller of [user('ADMIN'), flags.writer])
    expect(refusal(await flags.ask(caller, FACTS, { nonce }))).toMatchObject({ code: 'FORBIDDEN' });
  expect(refusal(await flags.ask(vehicle(999), FACTS, { nonce }))).toMatchObject({ code: 'NOT_FOUND' });
  expect(refusal(await flags.ask(vehicle(7), FACTS, { nonce: 'short' }))).toMatchObject({
    code: 'BAD_USER_INPUT',
    field: 'nonce',
  });
});

test('a fleet that asks at once costs two statements', async () => {
  const watched = await watchDatabase(flags.database.url);
  try {
    const facts = registeredFacts(watched.prisma);
    await facts.load(vinOf(0));
    const from = watched.statements.length;
    const first = facts.load(vinOf(0));
    // The others arrive while the first one's statement runs, or before it starts.
    const found = await Promise.all([
      first,
      ...Array.from({ length: 300 }, async (_, index) => facts.load(vinOf(index))),
    ]);
    expect(found.map((each) => each?.model ?? null)).toEqual([
      'Model 0',
      ...Array.from({ length: 300 }, (_, index) => (index < 200 ? `Model ${index}` : null)),
    ]);
    expect(watched.statements.length - from).toBeLessThanOrEqual(2);
  } finally {
    await watched.close();
  }
});
