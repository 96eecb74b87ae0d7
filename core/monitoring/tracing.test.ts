import { afterEach, expect, test } from '@jest/globals';
import {
  isTracing,
  resumeTrace,
  traced,
  traceparent,
  useTracing,
  type SpanAttributes,
  type Tracing,
} from './tracing.ts';

afterEach(() => useTracing(null));

test('work runs as it is while nobody has asked for spans', async () => {
  const describe = () => {
    throw new Error('A span was described');
  };
  await expect(
    traced(describe, async (note) => {
      note({ a: 1 });
      return 'done';
    }),
  ).resolves.toBe('done');
  expect([isTracing(), traceparent(), resumeTrace()]).toEqual([false, null, null]);
});

test('spans go to the tracing that is in use', async () => {
  const seen: unknown[] = [];
  const tracing: Tracing = {
    run(span, work) {
      seen.push(span);
      return work((attributes: SpanAttributes) => void seen.push(attributes));
    },
    traceparent: () => 'the parent',
    resume: () => (work) => work(),
  };
  useTracing(tracing);
  const span = { name: 'query', kind: 'internal' } as const;
  await traced(
    () => span,
    async (note) => note({ rows: 2 }),
  );
  expect(seen).toEqual([span, { rows: 2 }]);
  expect([isTracing(), traceparent()]).toEqual([true, 'the parent']);
  resumeTrace()?.(() => void seen.push('resumed'));
  expect(seen).toContain('resumed');
});
