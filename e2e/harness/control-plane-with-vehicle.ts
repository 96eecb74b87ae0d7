/** A deployment, its administrator and one registered vehicle whose agent runs, for tests of what reaches a vehicle. */
import { madeOrRemoved } from '../../core/testing/made-or-removed.ts';
import { Api } from './api.ts';
import { Deployment } from './deployment.ts';
import { VehicleProcess } from './vehicle.ts';

/** The parts that most tests of a change need; see the top of this file. */
export class ControlPlaneWithVehicle {
  private constructor(
    readonly deployment: Deployment,
    /** The API, signed in as the administrator. The session may end when the deployment restarts. */
    readonly admin: Api,
    readonly vehicle: VehicleProcess,
  ) {}

  /** Starts the deployment, registers the vehicle in production and starts its agent, which may not have synced yet. */
  static async start(vin: string): Promise<ControlPlaneWithVehicle> {
    const deployment = await Deployment.start();
    return madeOrRemoved(
      async () => {
        const admin = await Api.admin(deployment);
        const vehicle = await VehicleProcess.start(deployment.wsUrl, await admin.vehicle(vin));
        return new ControlPlaneWithVehicle(deployment, admin, vehicle);
      },
      () => deployment.remove(),
    );
  }

  /** Stops all processes and removes their data. */
  async remove(): Promise<void> {
    try {
      await this.vehicle.remove();
    } finally {
      await this.deployment.remove();
    }
  }
}
