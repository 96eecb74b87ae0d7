/** An agent that holds everything before a test begins, and helpers to change and read its syncs. */
import { eventually } from '../../core/testing/eventually.ts';
import type { FleetFlagAgentOptions } from '../assembly/agent-options.ts';
import type { FleetFlagAgent } from '../assembly/fleet-flag-agent.ts';
import type { TestControlPlane } from './control-plane.ts';
import type { TestVehicle } from './test-vehicle.ts';
import type { SyncMessage } from './wire-messages.ts';

/** An interval, in milliseconds, that does not pass during a test. */
export const NEVER_MS = 1_000_000;

/** Starts an agent, waits until it is in sync and has sent a heartbeat, and clears the syncs that were recorded. */
export async function syncedAgent(
  plane: TestControlPlane,
  vehicle: TestVehicle,
  timings: FleetFlagAgentOptions['timings'] = {},
): Promise<FleetFlagAgent> {
  const agent = await vehicle.start({
    random: () => 0.5,
    timings: { heartbeatMs: NEVER_MS, heartbeatSpreadMs: 1, ...timings },
  });
  await eventually(() => agent.status().revision === plane.revision && plane.streams > 0, 'it holds everything');
  await eventually(() => plane.heartbeats.length > 0, 'its first heartbeat has arrived');
  plane.syncs.length = 0;
  return agent;
}

/** Gives how many incomplete sets an agent has refused. */
export const incompleteSets = (agent: FleetFlagAgent): number => agent.status().refusals.incomplete ?? 0;

/** Gives a change of answers to syncs that leaves a flag out. */
export const withoutFlag =
  (key: string) =>
  (answer: SyncMessage): SyncMessage => ({ ...answer, flags: answer.flags.filter((flag) => flag.key !== key) });
