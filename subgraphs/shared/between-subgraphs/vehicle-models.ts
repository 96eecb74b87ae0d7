/**
 * The bus channel on which the vehicles subgraph announces that registered vehicles have changed; messages are empty.
 * The flags subgraph passes it on to gateways, because a vehicle's model decides about its partition.
 */
export const VEHICLE_MODELS_CHANGED = 'vehicle-models-changed';
