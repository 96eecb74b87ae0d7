/** The demo's fleet: the same vehicles at every run. */
import { composeVin } from './vin.ts';

/** A vehicle's registered facts. */
export interface FleetVehicle {
  readonly vin: string;
  readonly model: string;
  readonly swVersion: string;
  readonly region: string;
}

interface ModelLine {
  readonly model: string;
  readonly manufacturer: string;
  readonly descriptor: string;
  readonly plant: string;
  readonly count: number;
}

const MODELS: readonly ModelLine[] = [
  { model: 'Ioniq 5', manufacturer: 'KMH', descriptor: 'KR81A', plant: 'U', count: 52 },
  { model: 'Ioniq 6', manufacturer: 'KMH', descriptor: 'M281A', plant: 'A', count: 44 },
  { model: 'Kona Electric', manufacturer: 'KMH', descriptor: 'K281H', plant: 'U', count: 36 },
  { model: 'EV6', manufacturer: 'KNA', descriptor: 'C481D', plant: 'H', count: 38 },
  { model: 'EV9', manufacturer: 'KND', descriptor: 'AEFS5', plant: 'L', count: 30 },
  { model: 'GV60', manufacturer: 'KMU', descriptor: 'KCDTC', plant: 'U', count: 22 },
  { model: 'Electrified GV70', manufacturer: 'KMU', descriptor: 'MCDTC', plant: 'U', count: 18 },
];

// A version stands here as often as the fleet has it: most vehicles have the latest release, some are two behind.
const VERSIONS = [
  '2.6.1',
  '2.5.3',
  '2.6.1',
  '2.4.2',
  '2.5.3',
  '2.6.1',
  '2.5.0',
  '2.3.4',
  '2.6.1',
  '2.5.3',
  '2.7.0-rc.1',
] as const;
const REGIONS = ['EU', 'KR', 'NA', 'EU', 'KR', 'NA', 'EU', 'APAC'] as const;
const YEARS = ['P', 'R', 'R', 'S'] as const;

// The three lengths (11, 8, 4) combine in every way, so that no model has only one version or region.
function vehicle(line: ModelLine, index: number, position: number): FleetVehicle {
  const { model, manufacturer, descriptor, plant } = line;
  return {
    vin: composeVin({
      manufacturer,
      descriptor,
      plant,
      year: YEARS[index % YEARS.length]!,
      serial: 10_487 + position * 1_613,
    }),
    model,
    swVersion: VERSIONS[index % VERSIONS.length]!,
    region: REGIONS[position % REGIONS.length]!,
  };
}

/** 240 vehicles of seven models. */
export const FLEET: readonly FleetVehicle[] = MODELS.flatMap((line, lineIndex) => {
  const before = MODELS.slice(0, lineIndex).reduce((sum, { count }) => sum + count, 0);
  return Array.from({ length: line.count }, (_, index) => vehicle(line, index, before + index));
});

/** Finds the first vehicle of `model` with that version and region. Throws when the fleet has none. */
function pick(model: string, swVersion: string, region: string): FleetVehicle {
  const found = FLEET.find(
    (candidate) => candidate.model === model && candidate.swVersion === swVersion && candidate.region === region,
  );
  if (found === undefined) throw new Error(`The fleet has no ${model} with ${swVersion} in ${region}.`);
  return found;
}

/** The three vehicles whose agents run: different makes, versions and regions. */
export const DRIVEN: readonly FleetVehicle[] = [
  pick('Ioniq 6', '2.6.1', 'EU'),
  pick('EV9', '2.4.2', 'NA'),
  pick('GV60', '2.5.3', 'KR'),
];
