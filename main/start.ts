/** `npm start`: the whole control plane in one process. */
import { startControlPlane } from './control-plane.ts';
import { runUntilStopped } from './process.ts';

await runUntilStopped({}, async (configuration, logger) => {
  const plane = await startControlPlane(configuration, logger);
  if (plane.administrator !== null) {
    const { email, password } = plane.administrator;
    console.log(`Administrator created: ${email}`);
    console.log(password === null ? 'Its password is the one in FLEETFLAG_ADMIN_PASSWORD.' : `Password, shown only this once: ${password}`);
  }
  console.log(`FleetFlag ready at http://localhost:${plane.port}`);
  return plane;
});
