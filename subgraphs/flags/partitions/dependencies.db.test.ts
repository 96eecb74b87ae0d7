import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { decodeJwt } from 'jose';
import { identityOf, refusal } from '../../shared/testing/asking.ts';
import { FlagsUnderTest } from '../testing/flags-under-test.ts';

const UPDATE =
  'mutation ($key: String!, $input: UpdateFlagInput!) { updateFlag(key: $key, input: $input) { flag { revision } changeRequest { id } } }';
const FLAG =
  'query ($key: String!) { flag(key: $key) { requires { flag { key } variants } excludes { key } dependents { key } } }';

let flags: FlagsUnderTest;
beforeAll(async () => {
  flags = await FlagsUnderTest.start();
});
afterAll(() => flags.remove());

const update = (key: string, input: Record<string, unknown>) => flags.ask(flags.writer, UPDATE, { key, input });
const requires = (...keys: string[]) => keys.map((flagKey) => ({ flagKey }));

describe('a flag that depends on others', () => {
  test('shows them, is signed so that older agents serve its default, and is shown with what it takes along', async () => {
    const base = await flags.create();
    await flags.addRule(base.key, { type: 'PERCENTAGE_ROLLOUT', conditions: { rollout_percentage: 5 }, variant: 'b' });
    const other = await flags.create();
    const { key } = await flags.create({
      enabled: true,
      requires: [{ flagKey: base.key, variants: ['b'] }],
      excludes: [other.key],
    });
    const top = await flags.create({ requires: requires(key) });
    expect(await flags.ok(FLAG, { key })).toEqual({
      flag: {
        requires: [{ flag: { key: base.key }, variants: ['b'] }],
        excludes: [{ key: other.key }],
        dependents: [{ key: top.key }],
      },
    });
    expect(await flags.ok(FLAG, { key: base.key })).toMatchObject({
      flag: { dependents: [key, top.key].sort().map((dependent) => ({ key: dependent })) },
    });
    const { signedDefinition } = await flags.prisma.flag.findUniqueOrThrow({ where: { key } });
    expect(decodeJwt(signedDefinition ?? '')['flag']).toMatchObject({
      enabled: false,
      rules: [],
      content: {
        ...{ enabled: true, rules: [], requires: [{ flag: base.key, variants: ['b'] }], excludes: [other.key] },
      },
    });
  });

  test.each([
    ['an unknown flag', { requires: requires('no_such_flag') }, 'input.requires.0.flagKey'],
    ['an unknown exclusion', { excludes: ['no_such_flag'] }, 'input.excludes.0'],
  ])('is refused with %s', async (_, input, field) => {
    const { key } = await flags.create();
    expect(refusal(await update(key, input))).toMatchObject({ code: 'BAD_USER_INPUT', field });
  });

  test('is refused with a variant that no rule serves, which names the nearest', async () => {
    const base = await flags.create();
    await flags.addRule(base.key, { type: 'PERCENTAGE_ROLLOUT', conditions: { rollout_percentage: 5 } });
    const { key } = await flags.create();
    const answer = await update(key, { requires: [{ flagKey: base.key, variants: ['Treatments'] }] });
    expect(refusal(answer)).toMatchObject({ code: 'BAD_USER_INPUT', field: 'input.requires.0.variants.0' });
    expect(answer.errors[0]?.message).toContain('treatment');
  });

  test('is refused where that makes a cycle, named with its path, and what the flags are stays', async () => {
    const a = await flags.create();
    const b = await flags.create({ excludes: [a.key] });
    const c = await flags.create({ requires: requires(b.key) });
    const before = await flags.everything();
    const answer = await update(a.key, { requires: requires(c.key) });
    expect(refusal(answer)).toMatchObject({ code: 'BAD_USER_INPUT', field: 'input.requires.0.flagKey' });
    expect(answer.errors[0]?.message).toContain(`${a.key} → ${c.key} → ${b.key} → ${a.key}`);
    expect(await flags.everything()).toEqual(before);
  });

  test('of two changes at once that would close a cycle, one is refused', async () => {
    const [a, b] = [await flags.create(), await flags.create()];
    const answers = await Promise.all([
      update(a.key, { requires: requires(b.key) }),
      update(b.key, { requires: requires(a.key) }),
    ]);
    expect(answers.map((answer) => refusal(answer)?.code ?? 'passed').sort()).toEqual(['BAD_USER_INPUT', 'passed']);
  });
});

describe('a flag that others require', () => {
  const ARCHIVE = 'mutation ($key: String!) { archiveFlag(key: $key) { applied } }';

  test('cannot be archived, moved or narrowed, and the refusal names them', async () => {
    const base = await flags.create({ scope: ['A', 'B'] });
    const { key } = await flags.create({ scope: ['A'], requires: requires(base.key) });
    for (const answer of [
      await flags.ask(flags.writer, ARCHIVE, { key: base.key }),
      await update(base.key, { environment: 'PRODUCTION' }),
      await update(base.key, { scope: ['B'] }),
    ]) {
      expect(refusal(answer)).toMatchObject({ code: 'CONFLICT' });
      expect(answer.errors[0]?.message).toContain(key);
    }
    expect(refusal(await update(key, { scope: null }))).toMatchObject({ code: 'BAD_USER_INPUT', field: 'input.scope' });
    expect(refusal(await update(base.key, { scope: ['A'] }))).toBeNull();
    expect(refusal(await update(key, { requires: [] }))).toBeNull();
    expect(refusal(await flags.ask(flags.writer, ARCHIVE, { key: base.key }))).toBeNull();
  });

  test('is refused such a change in a preview, too', async () => {
    const base = await flags.create({ scope: ['A', 'B'] });
    await flags.create({ scope: ['A'], requires: requires(base.key) });
    const preview = async (change: Record<string, unknown>) =>
      refusal(
        await flags.ask(
          flags.writer,
          'query ($key: String!, $change: ProposedChangeInput!) { flag(key: $key) { previewChange(change: $change) { evaluatedContents } } }',
          { key: base.key, change },
        ),
      );
    expect(await preview({ updateFlag: { scope: ['B'] } })).toEqual({
      ...{ code: 'CONFLICT', field: 'change.updateFlag.scope' },
    });
    expect(await preview({ archived: true })).toEqual({ code: 'CONFLICT', field: 'change.archived' });
    expect(await preview({ updateFlag: { scope: ['A'] } })).toBeNull();
    expect(await preview({ enabled: true })).toBeNull();
  });

  test('cannot lose a variant that they name', async () => {
    const base = await flags.create();
    const { rules } = await flags.addRule(base.key, {
      ...{ type: 'PERCENTAGE_ROLLOUT', conditions: { rollout_percentage: 5 }, variant: 'sport' },
    });
    const { key } = await flags.create({ requires: [{ flagKey: base.key, variants: ['sport'] }] });
    const answer = await flags.ask(flags.writer, 'mutation ($id: ID!) { deleteRule(id: $id) { applied } }', {
      id: rules[0]?.id,
    });
    expect(refusal(answer)).toMatchObject({ code: 'CONFLICT' });
    expect(answer.errors[0]?.message).toContain(key);
  });

  test('can always be killed and disabled', async () => {
    const base = await flags.create({ enabled: true });
    const { key } = await flags.create({ requires: requires(base.key) });
    const answer = await flags.ok(
      'mutation ($key: String!) { killSwitch(flagKey: $key, reason: "smoke") { applied flag { dependents { key } } } }',
      { key: base.key },
    );
    expect(answer).toEqual({ killSwitch: { applied: true, flag: { dependents: [{ key }] } } });
    await flags.ok('mutation ($key: String!) { disableFlag(key: $key) { applied } }', { key: base.key });
  });

  test.each([
    ['killed', 'mutation ($key: String!) { stop: killSwitch(flagKey: $key, reason: "smoke") { ...Said } }'],
    ['disabled', 'mutation ($key: String!) { stop: disableFlag(key: $key) { ...Said } }'],
  ])('says what stands aside for it, and may serve once it is %s', async (_, mutation) => {
    const base = await flags.create({ enabled: true });
    const dependent = await flags.create({ enabled: true, requires: requires(base.key) });
    const aside = await flags.create({ enabled: true, excludes: [dependent.key] });
    await flags.create({ excludes: [base.key] });
    const said = 'fragment Said on FlagChangePayload { flag { freed { key } } warnings { field message } }';
    interface Said {
      readonly stop: {
        readonly flag: { readonly freed: readonly { readonly key: string }[] };
        readonly warnings: readonly { readonly field: string | null; readonly message: string }[];
      };
    }
    const { stop } = await flags.ok<Said>(`${mutation} ${said}`, { key: base.key });
    expect(stop.flag.freed).toHaveLength(2);
    // One that is disabled serves nothing.
    expect(stop.warnings).toEqual([
      { field: null, message: expect.stringMatching(new RegExp(`^${aside.key} may serve`)) },
    ]);
  });

  test('shows a vehicle neither what it takes along nor what it lets serve, which may be in other partitions', async () => {
    const base = await flags.create({ enabled: true });
    await flags.create({ requires: requires(base.key) });
    await flags.create({ excludes: [base.key] });
    const news = flags.connection.subscribe({
      query: 'subscription { flagChanges(environment: STAGING) { flag { key dependents { key } freed { key } } } }',
      variables: {},
      identity: identityOf({ kind: 'vehicle', vin: 'KMHK281HGNU000001', environment: 'staging', partition: '*' }),
    });
    await news.established;
    await flags.ok('mutation ($key: String!) { killSwitch(flagKey: $key, reason: "smoke") { applied } }', {
      key: base.key,
    });
    const seen: unknown[] = [];
    // The flags' creation may still be on its way.
    while (!JSON.stringify(seen).includes(base.key)) seen.push((await news.next()).value);
    expect(seen.at(-1)).toMatchObject({
      data: { flagChanges: { flag: { key: base.key, dependents: [], freed: [] } } },
    });
    await news.return?.();
  });

  test('is checked again when a change that waited is approved', async () => {
    const base = await flags.create({ safetyLevel: 'ASIL_D' });
    const { key } = await flags.create({ safetyLevel: 'ASIL_D' });
    const asked = await flags.ok<{ updateFlag: { changeRequest: { id: string } } }>(UPDATE, {
      key,
      input: { requires: requires(base.key) },
    });
    const lowering = await flags.ok<{ archiveFlag: { changeRequest: { id: string } } }>(
      'mutation ($key: String!) { archiveFlag(key: $key) { changeRequest { id } } }',
      { key: base.key },
    );
    await flags.approve(lowering.archiveFlag.changeRequest.id);
    const answer = await flags.ask(flags.reviewer, 'mutation ($id: ID!) { approveChangeRequest(id: $id) { id } }', {
      id: asked.updateFlag.changeRequest.id,
    });
    expect(refusal(answer)).toMatchObject({ code: 'CONFLICT', field: 'id' });
  });

  test('is checked again when it is brought back, and by restoring what it required', async () => {
    const base = await flags.create();
    const top = await flags.create({ requires: requires(base.key) });
    await update(top.key, { requires: [] });
    await flags.ok('mutation ($key: String!) { archiveFlag(key: $key) { applied } }', { key: base.key });
    const answer = await flags.ask(
      flags.writer,
      'mutation ($key: String!, $revision: Int!) { restoreFlag(key: $key, revision: $revision) { applied } }',
      { key: top.key, revision: top.revision },
    );
    expect(refusal(answer)).toMatchObject({ code: 'BAD_USER_INPUT', field: 'revision' });
  });
});
