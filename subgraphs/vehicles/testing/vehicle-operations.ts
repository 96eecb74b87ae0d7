/** Operations on registered vehicles, with all that tests compare of their answers. */

export const REGISTER_VEHICLES =
  'mutation($input: [RegisterVehicleInput!]!) { registerVehicles(input: $input) { vin model swVersion region status environment lastSeenAt appliedRevision } }';
export const VEHICLE_BY_VIN =
  'query($vin: String!) { vehicle(vin: $vin) { vin model swVersion status environment agentMemoryMb agentCpuPercent cacheSizeMb appliedRevision registeredAt } }';
export const ISSUE_TOKEN =
  'mutation($vin: String!, $environment: Environment!, $days: Int) { issueVehicleToken(vin: $vin, environment: $environment, expiresInDays: $days) { token expiresAt vehicle { vin environment } } }';
