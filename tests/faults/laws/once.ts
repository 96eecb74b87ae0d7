/** Measurements, approvals, steps of schedules and presence: each counts once, and nobody approves their own. */
import type { Finding, Law } from '../history.ts';

/** Each acknowledged measurement is stored, and none more often than it was sent. */
export const measurementsCountOnce: Law = ({ truth }, exchanges) => {
  const findings: Finding[] = [];
  /** The items of each batch, and whether one of its requests was acknowledged. */
  const batches = new Map<string, { vin: string; items: number; stored: boolean }>();
  for (const { call, answer } of exchanges) {
    if (call.op !== 'report') continue;
    const stored = answer?.ok === true || batches.get(call.batch)?.stored === true;
    batches.set(call.batch, { vin: call.vin, items: call.items, stored });
  }
  const bounds = new Map<string, { least: number; most: number }>();
  for (const { vin, items, stored } of batches.values()) {
    const { least, most } = bounds.get(vin) ?? { least: 0, most: 0 };
    bounds.set(vin, { least: least + (stored ? items : 0), most: most + items });
  }
  for (const [vin, { least, most }] of bounds) {
    const number = truth.measurements[vin] ?? 0;
    if (number < least)
      findings.push({ law: 'lost measurement', detail: `${vin}: ${number} are stored of ${least} acknowledged` });
    if (number > most)
      findings.push({ law: 'doubled measurement', detail: `${vin}: ${number} are stored of ${most} sent` });
  }
  return findings;
};

/** A reviewed flag changes only as another person than the requester has approved, and no review is lost. */
export const twoPeopleDecide: Law = ({ truth }, exchanges) => {
  const findings: Finding[] = [];
  const requests = new Map(truth.requests.map((request) => [request.id, request]));
  for (const request of truth.requests)
    if (request.status === 'approved' && (request.reviewedBy === null || request.reviewedBy === request.requestedBy))
      findings.push({ law: 'own change approved', detail: JSON.stringify(request) });
  for (const { call, answer } of exchanges) {
    if (call.op === 'approve-own' && answer?.ok === true)
      findings.push({ law: 'own change approved', detail: JSON.stringify(call) });
    if (call.op === 'propose' && answer?.ok === true && answer.applied === true)
      findings.push({ law: 'change without a second person', detail: JSON.stringify(call) });
    if (call.op === 'approve' && answer?.ok === true && requests.get(call.request)?.status !== 'approved')
      findings.push({ law: 'lost approval', detail: JSON.stringify(call) });
    if (call.op === 'reject' && answer?.ok === true && requests.get(call.request)?.status !== 'rejected')
      findings.push({ law: 'lost rejection', detail: JSON.stringify(call) });
  }
  for (const flag of truth.reviewed) {
    const approved = new Map<number, number>();
    for (const request of truth.requests)
      if (request.flag === flag && request.status === 'approved')
        approved.set(request.value, (approved.get(request.value) ?? 0) + 1);
    const made = new Map<number, number>();
    for (const version of truth.versions)
      if (version.flag === flag) made.set(version.value, (made.get(version.value) ?? 0) + 1);
    for (const [value, number] of made)
      if ((approved.get(value) ?? 0) !== number)
        findings.push({
          law: 'change without a second person',
          detail: `${flag} had the value ${value} in ${number} versions, of ${approved.get(value) ?? 0} approved requests`,
        });
    for (const [value] of approved)
      if (!made.has(value)) findings.push({ law: 'lost approval', detail: `${flag} never had the value ${value}` });
  }
  return findings;
};

/** Each step of a rollout is applied once and in order, and nothing else raises the percentage. */
export const stepsAreAppliedOnce: Law = ({ truth }, exchanges) => {
  const findings: Finding[] = [];
  const known = new Set(truth.steps.map(({ rollout }) => rollout));
  for (const { call, answer } of exchanges)
    if (call.op === 'schedule' && answer?.ok === true && !known.has(answer.id ?? ''))
      findings.push({ law: 'lost schedule', detail: JSON.stringify(call) });
  for (const rollout of known) {
    const steps = truth.steps.filter((step) => step.rollout === rollout).sort((a, b) => a.position - b.position);
    const revisions = steps.map(({ revision }) => revision ?? Infinity);
    for (const [index, { flag, percentage, appliedAt, revision }] of steps.entries()) {
      if (appliedAt === null) {
        findings.push({ law: 'missed step', detail: `${percentage} % of ${rollout}` });
        continue;
      }
      const version = truth.versions.find((each) => each.revision === revision);
      if (version?.flag !== flag || version.percentage !== percentage)
        findings.push({
          law: 'missed step',
          detail: `${percentage} % of ${rollout} at revision ${revision}: ${JSON.stringify(version ?? null)}`,
        });
      if (index > 0 && revisions[index - 1]! >= revisions[index]!)
        findings.push({ law: 'reordered step', detail: `${percentage} % of ${rollout}` });
    }
  }
  for (const flag of new Set(truth.steps.map((step) => step.flag))) {
    const raised = truth.versions.filter((version) => version.flag === flag && version.percentage !== null);
    const rises = raised.filter((version, index) => index > 0 && version.percentage !== raised[index - 1]!.percentage);
    const applied = truth.steps.filter((step) => step.flag === flag && step.revision !== null);
    // Each change of the percentage is a step's, or puts it back to 0 for the next schedule.
    for (const { percentage, revision } of rises)
      if (percentage !== 0 && applied.filter((step) => step.revision === revision).length !== 1)
        findings.push({ law: 'doubled step', detail: `${flag} went to ${percentage} % at revision ${revision}` });
  }
  return findings;
};

/** The vehicles that are shown online are those that are connected. */
export const presenceIsTrue: Law = ({ truth }) => {
  const online = new Set(truth.online);
  const connected = new Set(truth.connected);
  const wrong = [
    ...truth.connected.filter((vin) => !online.has(vin)),
    ...truth.online.filter((vin) => !connected.has(vin)),
  ];
  return wrong.map((vin) => ({
    law: 'wrong presence',
    detail: `${vin} is ${online.has(vin) ? 'online' : 'offline'} at the control plane, and ${connected.has(vin) ? 'connected' : 'not connected'}`,
  }));
};
