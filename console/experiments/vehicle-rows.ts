/** Reads the vehicles of an experiment's analysis, and hands them to the browser as a file. */
import { ask } from '../api/client.ts';
import type { Fault } from '../api/fault.ts';
import { AnalysedVehiclesDocument } from '../generated/operations.ts';
import type { Vehicle } from './csv.ts';

/**
 * Reads all vehicles of an experiment, page by page.
 *
 * @param progress called with the number of rows that have been read
 */
export async function readVehicles(
  id: string,
  progress: (rows: number) => void,
): Promise<{ readonly vehicles: readonly Vehicle[]; readonly fault: Fault | null }> {
  const vehicles: Vehicle[] = [];
  let after: string | null = null;
  do {
    const { data, fault }: Awaited<ReturnType<typeof nextPage>> = await nextPage(id, after);
    if (fault !== null) return { vehicles, fault };
    const page = data.experiment?.analysedVehicles ?? null;
    vehicles.push(...(page?.nodes ?? []));
    after = page?.endCursor ?? null;
    progress(vehicles.length);
  } while (after !== null);
  return { vehicles, fault: null };
}

const nextPage = (id: string, after: string | null) => ask(AnalysedVehiclesDocument, { id, after });

/** Hands a file to the browser, to be saved. */
export function save(name: string, content: string): void {
  const address = URL.createObjectURL(new Blob([content], { type: 'text/csv;charset=utf-8' }));
  const link = document.createElement('a');
  link.href = address;
  link.download = name;
  link.click();
  URL.revokeObjectURL(address);
}
