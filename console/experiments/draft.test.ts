import { describe, expect, test } from '@jest/globals';
import type { ExperimentPlanFragment } from '../generated/operations.ts';
import { en } from '../words/en.ts';
import { formatsOf } from '../words/formats.ts';
import {
  experimentContentOf,
  experimentDraftOf,
  experimentInputOf,
  newExperimentDraft,
  wrongMembers,
} from './draft.ts';

const NOW = new Date('2027-01-04T09:00:00Z');
const PLAN: ExperimentPlanFragment = {
  id: 'e',
  name: 'Fewer corrections',
  description: null,
  status: 'DRAFT',
  startDate: '2027-01-04T09:00:00.000Z',
  endDate: '2027-02-01T09:00:00.000Z',
  sampleSize: 3900,
  confidenceLevel: 0.999,
  primaryMetric: 'corrections_per_hour',
  winnerVariant: null,
  cancelReason: null,
  createdAt: '2027-01-01T09:00:00Z',
  updatedAt: '2027-01-01T09:00:00Z',
  flag: { id: 'f', key: 'adas', name: 'Lane keeping', safetyLevel: 'ASIL_B' },
  secondaryMetrics: [{ metric: 'range_km', better: 'HIGHER' }],
  guardrails: [{ metric: 'faults', worse: 'HIGHER', maxWorsePercent: 2 }],
};

describe('the plan of an experiment', () => {
  test('is compared in the words of its form, and each member that the form changes differs in them', () => {
    const content = (plan: ExperimentPlanFragment) =>
      experimentContentOf(plan, { words: en, formats: formatsOf('en-GB', 'Asia/Seoul') });
    expect(content(PLAN)).toMatchObject({
      'Vehicles in each arm': '3,900',
      'Secondary metrics': ['range_km (Higher values)'],
      Guardrails: ['faults (Higher values, 2%)'],
    });
    const changes: readonly Partial<ExperimentPlanFragment>[] = [
      ...[{ name: 'Other' }, { description: 'Other' }, { sampleSize: 10 }, { confidenceLevel: 0.95 }],
      ...[{ primaryMetric: 'other' }, { startDate: '2027-01-05T09:00:00.000Z' }, { endDate: null }],
      ...[{ secondaryMetrics: [] }, { guardrails: [] }],
    ];
    for (const change of changes) expect(content({ ...PLAN, ...change })).not.toEqual(content(PLAN));
  });

  test('comes back from the form as it was', () => {
    const { name, description, startDate, endDate, sampleSize, confidenceLevel, primaryMetric } = PLAN;
    const { secondaryMetrics, guardrails } = PLAN;
    expect(experimentInputOf(experimentDraftOf(PLAN))).toEqual({
      name,
      description,
      startDate,
      endDate,
      sampleSize,
      confidenceLevel,
      primaryMetric,
      secondaryMetrics,
      guardrails,
    });
    expect(wrongMembers(experimentDraftOf(PLAN))).toEqual({});
  });

  test('of a new draft lacks what people have to fill in, at the paths of the API', () => {
    expect(wrongMembers(newExperimentDraft('', NOW))).toEqual({
      'input.flagKey': 'text',
      'input.name': 'text',
      'input.primaryMetric': 'text',
      'input.sampleSize': 'size',
    });
  });

  test('names what is wrong in its rows and dates', () => {
    const draft = {
      ...experimentDraftOf(PLAN),
      startDate: '',
      endDate: '2027-01-01T09:00',
      confidence: '100',
      secondaryMetrics: [{ id: 0, metric: ' ', better: 'HIGHER' as const }],
      guardrails: [{ id: 0, metric: '', worse: 'HIGHER' as const, maxWorsePercent: '-1' }],
    };
    expect(wrongMembers(draft)).toEqual({
      'input.startDate': 'date',
      'input.endDate': 'later',
      'input.confidenceLevel': 'percent',
      'input.secondaryMetrics.0.metric': 'text',
      'input.guardrails.0.metric': 'text',
      'input.guardrails.0.maxWorsePercent': 'notNegative',
    });
  });
});
