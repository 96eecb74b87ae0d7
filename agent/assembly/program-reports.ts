/**
 * The evaluations of programs in the vehicle, and what they report: measurements, faults, and the state of the vehicle.
 */
import { readVehicleStateReport } from '../../core/activation/drive.ts';
import { FleetFlagError, badInput } from '../../core/errors.ts';
import { isOneOf, membersOf } from '../../core/json/json-value.ts';
import { FAULT_SEVERITIES, type FaultSeverity } from '../../core/wire/vehicle/fault.ts';
import type { ChangeOver } from '../activation/change-over.ts';
import { NOT_READY_MESSAGE } from '../api/evaluation-details.ts';
import type { EvaluatedFlag, FlagEvaluator } from '../evaluate/flag-evaluator.ts';
import type { PresentFlags } from '../evaluate/present-flags.ts';
import { readFaultMessage } from '../faults/fault-message.ts';
import type { VehicleFaults } from '../faults/vehicle-faults.ts';
import { checkMeasurement, type MetricRecorder, type TrackOptions } from '../telemetry/metrics/metric-recorder.ts';
import type { AgentReadiness } from './agent-readiness.ts';

/** The parts of an agent that take reports. */
export interface ReportParts {
  readonly evaluator: FlagEvaluator;
  readonly flags: Pick<PresentFlags, 'evaluatedContents'>;
  readonly recorder: MetricRecorder;
  readonly faults: VehicleFaults;
  readonly changeOver: ChangeOver;
  readonly readiness: AgentReadiness;
}

/** Takes reports. Refuses what is wrong, and what would be lost. */
export class ProgramReports {
  constructor(private readonly parts: ReportParts) {}

  /** Counts an evaluation by a program. A flag of a file says nothing about the fleet. */
  evaluated(evaluated: EvaluatedFlag): void {
    if (evaluated.local === true) return;
    this.parts.recorder.count(evaluated);
    this.parts.flags.evaluatedContents.note(evaluated);
  }

  /** Records a measurement (`FleetFlagAgent.track`). */
  track(metric: string, value: number, options: TrackOptions): void {
    const { evaluator, recorder } = this.parts;
    // Programs in JavaScript may leave out arguments that TypeScript requires.
    if (typeof membersOf(options).flagKey !== 'string')
      throw badInput('flagKey', 'A measurement requires the flag that it is about: track(metric, value, { flagKey }).');
    this.#checkReady();
    const evaluated = evaluator.evaluate(options.flagKey);
    if (evaluated?.local !== true) return recorder.track(metric, value, options, evaluated);
    // It is checked, so that tests find faults, and dropped: it says nothing about the fleet.
    checkMeasurement(metric, value, options, evaluated);
  }

  /** Records a fault (`FleetFlagAgent.reportFault`). */
  fault(flagKey: string, message: string, severity: FaultSeverity): void {
    readFaultMessage(message);
    readFaultSeverity(severity);
    this.#checkReady();
    const evaluated = this.parts.evaluator.evaluate(flagKey);
    if (evaluated === undefined)
      throw new FleetFlagError('NOT_FOUND', `There is no flag ${JSON.stringify(flagKey)}.`, { field: 'flagKey' });
    // A flag of a file says nothing about the fleet.
    if (evaluated.local !== true) this.parts.faults.report(evaluated, message, severity);
  }

  /** Waits for the reported faults and the returns of flags that they cause (`FleetFlagAgent.faultsWritten`). */
  async faultsWritten(): Promise<void> {
    await this.parts.changeOver.settled();
    await this.parts.faults.written();
  }

  /** Takes the state of the vehicle (`FleetFlagAgent.setVehicleState`). */
  async vehicleState(state: unknown): Promise<void> {
    const report = readVehicleStateReport(state);
    this.parts.readiness.refuseClosed();
    await this.parts.changeOver.report(report);
  }

  #checkReady(): void {
    this.parts.readiness.refuseClosed();
    if (!this.parts.readiness.isReady) throw new FleetFlagError('SERVICE_UNAVAILABLE', NOT_READY_MESSAGE);
  }
}

/**
 * Reads the severity of a program's fault; null is an error.
 *
 * @throws FleetFlagError BAD_USER_INPUT for any other
 */
export function readFaultSeverity(severity: unknown): FaultSeverity {
  if (severity === null) return 'error';
  if (isOneOf(FAULT_SEVERITIES, severity)) return severity;
  const names = FAULT_SEVERITIES.map((name) => `"${name}"`).join(' or ');
  throw badInput('severity', `A severity must be ${names}.`);
}
