import type { VehicleStatus } from '../generated/operations.ts';
import { Badge } from '../parts/parts.tsx';
import { useWords } from '../words/language.ts';

/** The badge that names the status of a vehicle. */
export function VehicleBadge({ status }: { readonly status: VehicleStatus }) {
  const { words } = useWords();
  return <Badge tone={status === 'ONLINE' ? 'accent' : 'plain'}>{words.vehicleStatus[status]}</Badge>;
}
