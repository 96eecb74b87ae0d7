import { afterAll, beforeAll, expect, test } from '@jest/globals';
import type { Caller } from '../../../../core/access/caller.ts';
import { ANONYMOUS, identityOf, user } from '../../../shared/testing/asking.ts';
import { FlagsUnderTest } from '../../testing/flags-under-test.ts';

const FOLLOW = 'subscription { changeRequestChanges { id status comment reviewedBy { id } flag { key name } } }';

interface Event {
  readonly id: string;
  readonly status: string;
  readonly comment: string | null;
  readonly reviewedBy: { readonly id: string } | null;
  readonly flag: { readonly key: string; readonly name: string };
}

let flags: FlagsUnderTest;

beforeAll(async () => {
  flags = await FlagsUnderTest.start();
}, 60_000);
afterAll(() => flags?.remove());

async function following(caller: Caller = user('READ')) {
  const stream = flags.connection.subscribe({ query: FOLLOW, identity: identityOf(caller) });
  await stream.established;
  return {
    next: async () =>
      JSON.parse(JSON.stringify((await stream.next()).value)) as {
        data: { changeRequestChanges: Event };
        errors?: { extensions: { code: string } }[];
      },
    take: async (count: number) => {
      const events: Event[] = [];
      while (events.length < count)
        events.push(
          (JSON.parse(JSON.stringify((await stream.next()).value)) as { data: { changeRequestChanges: Event } }).data
            .changeRequestChanges,
        );
      return events;
    },
    end: () => stream.return?.(),
  };
}

const rename = async (key: string, name: string): Promise<string> =>
  (
    await flags.ok<{ updateFlag: { changeRequest: { id: string } } }>(
      `mutation { updateFlag(key: "${key}", input: { name: "${name}" }) { changeRequest { id } } }`,
    )
  ).updateFlag.changeRequest.id;
const decide = (mutation: string, caller: Caller = flags.reviewer) =>
  flags.ok(`mutation { ${mutation} { status } }`, {}, caller);

test("the feed delivers each request when it is created and when it is decided, with its flag's current state", async () => {
  const { key } = await flags.create({ safetyLevel: 'ASIL_D' });
  const stream = await following();
  const [approved, rejected, cancelled] = [
    await rename(key, 'Better'),
    await rename(key, 'Worse'),
    await rename(key, 'Later'),
  ];
  // Decided before anybody has read its creation, which is still delivered first.
  await decide(`rejectChangeRequest(id: "${rejected}", comment: "No")`);
  await decide(`approveChangeRequest(id: "${approved}")`);
  await decide(`cancelChangeRequest(id: "${cancelled}")`, flags.writer);
  const events = await stream.take(6);
  expect(events.map(({ id, status, comment, reviewedBy }) => [id, status, comment, reviewedBy?.id])).toEqual([
    [approved, 'PENDING', null, undefined],
    [rejected, 'PENDING', null, undefined],
    [cancelled, 'PENDING', null, undefined],
    [rejected, 'REJECTED', 'No', flags.reviewer.userId],
    [approved, 'APPROVED', null, flags.reviewer.userId],
    [cancelled, 'CANCELLED', null, undefined],
  ]);
  expect(events.at(-1)?.flag).toEqual({ key, name: 'Better' });
  await stream.end();
});

test('the feed delivers every request exactly once when very many arrive at once and no announcement does', async () => {
  const keys = await Promise.all(
    Array.from({ length: 4 }, async () => (await flags.create({ safetyLevel: 'ASIL_D' })).key),
  );
  const stream = await following();
  flags.bus.lost = true;
  const asked: string[] = [];
  for (let each = 0; each < 30; each++)
    asked.push(...(await Promise.all(keys.map((key) => rename(key, `Name ${each}`)))));
  flags.bus.lost = false;
  expect((await stream.take(asked.length)).map(({ id }) => id).sort()).toEqual(asked.sort());
  await stream.end();
});

test('the feed is only for callers who may see change requests', async () => {
  const vehicle: Caller = { kind: 'vehicle', vin: 'KMHK281HGNU000001', environment: 'staging' };
  for (const [caller, code] of [
    [vehicle, 'FORBIDDEN'],
    [ANONYMOUS, 'UNAUTHENTICATED'],
  ] as const) {
    expect((await (await following(caller)).next()).errors).toMatchObject([{ extensions: { code } }]);
  }
});
