/** The texts of the vehicles that a flag or a change concerns. */
import { vehicles } from './counts.ts';

export const audience = {
  whoHasWhat: 'Who has what now',
  models: 'Models',
  regions: 'Regions',
  others: (count: string) => `and ${count} more`,
  theOthers: 'Others',
  attributesUncounted: 'Attributes are known only in the vehicle: what rules by attributes give is not counted here.',
  whoIsMissing: 'Vehicles without the change',
  showMissing: 'Show who is missing',
  vehicle: 'Vehicle',
  lastSeen: 'Last seen',
  never: 'never',
  vehicleStatus: { ONLINE: 'Online', OFFLINE: 'Offline', MAINTENANCE: 'In maintenance' },
  vehiclesConcerned: (count: number, text: string) =>
    count === 0 ? 'No vehicle would get another value.' : `${text} ${vehicles(count)} would get another value.`,
  vehiclesWith: 'Vehicles with',
  audienceOfChange: 'Vehicles before and after the change',
};
