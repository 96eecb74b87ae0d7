/** The demo's flags as a user would create them through the API: every type, every safety level, every type of rule. */
import { FLEET } from './fleet/fleet.ts';

/** The API's `CreateFlagInput`. */
export interface FlagInput {
  readonly key: string;
  readonly name: string;
  readonly description: string;
  readonly type: 'BOOLEAN' | 'STRING' | 'NUMBER' | 'JSON';
  readonly defaultValue: unknown;
  readonly safetyLevel: 'NON_CRITICAL' | 'SAFETY_RELEVANT' | 'ASIL_B' | 'ASIL_D';
  readonly environment: 'DEVELOPMENT' | 'STAGING' | 'PRODUCTION';
  readonly enabled: boolean;
  /** The models that get it; every vehicle without it. */
  readonly scope?: readonly string[];
  readonly requires?: readonly { readonly flagKey: string }[];
}

/** The API's `RuleInput`. */
export interface RuleInput {
  readonly type: 'PERCENTAGE_ROLLOUT' | 'VEHICLE_WHITELIST' | 'VEHICLE_TARGET' | 'USER_ATTRIBUTE' | 'KILL_SWITCH';
  readonly priority?: number;
  readonly enabled?: boolean;
  readonly conditions: Readonly<Record<string, unknown>>;
  readonly value?: unknown;
}

/** A flag with its rules. */
export interface PlannedFlag extends FlagInput {
  readonly rules: readonly RuleInput[];
}

/** The flag whose rollout is widened during the show. */
export const ROLLED_OUT = 'charging_curve';
/** The flag that is on in all three driven vehicles, and then killed. */
export const KILLED = 'adas_lane_keep_v2';
/** The flags that change while no vehicle is connected. */
export const CHANGED_UNHEARD = ['navigation_map_layers', 'v2l_export_limit_w', KILLED] as const;
/** The flag of the planned experiment. */
export const COMPARED = 'hud_layout';
/** The flag of the running experiment, which measures its effect. */
export const MEASURED = 'eco_route';
/** The flag that only one model gets. */
export const SCOPED = 'third_row_ventilation';
/** The flag that serves its default value unless `KILLED` is on. */
export const REQUIRING = 'lane_keep_hints';
/** The segment that the rule of `REQUIRING` names. */
export const SEGMENT = {
  key: 'eu_test_fleet',
  name: 'Test fleet in Europe',
  conditions: { regions: ['EU'], sw_version: '>=2.6.0' },
} as const;
/** The percentage of the fleet for which the flag `MEASURED` is on. */
export const MEASURED_SHARE = 50;

/** Two vehicles of the test department. */
const TEST_VEHICLES = FLEET.filter(({ swVersion }) => swVersion === '2.7.0-rc.1')
  .slice(0, 2)
  .map(({ vin }) => vin);

const production = { environment: 'PRODUCTION', enabled: true } as const;

/** All flags of the demo. */
export const FLAGS: readonly PlannedFlag[] = [
  {
    ...production,
    key: KILLED,
    name: 'Lane keeping, second generation',
    description: 'Steering corrections from the new camera pipeline.',
    type: 'BOOLEAN',
    defaultValue: false,
    safetyLevel: 'ASIL_B',
    rules: [
      { type: 'VEHICLE_TARGET', conditions: { models: ['Ioniq 5', 'Ioniq 6', 'EV9', 'GV60'], sw_version: '>=2.4.0' } },
    ],
  },
  {
    ...production,
    key: 'aeb_night_pedestrian',
    name: 'Emergency braking for pedestrians at night',
    description: 'Uses the thermal camera; two test vehicles first.',
    type: 'BOOLEAN',
    defaultValue: false,
    safetyLevel: 'ASIL_D',
    rules: [{ type: 'VEHICLE_WHITELIST', priority: 200, conditions: { vins: TEST_VEHICLES } }],
  },
  {
    ...production,
    key: 'steering_assist_profile',
    name: 'Steering assistance by speed',
    description: 'Torque factor from standstill to motorway.',
    type: 'JSON',
    defaultValue: { low: 1, medium: 0.85, high: 0.6 },
    safetyLevel: 'ASIL_D',
    rules: [],
  },
  {
    ...production,
    key: ROLLED_OUT,
    name: 'Charging curve',
    description: 'The faster curve spares the battery by preconditioning it earlier.',
    type: 'STRING',
    defaultValue: 'standard',
    safetyLevel: 'SAFETY_RELEVANT',
    rules: [{ type: 'PERCENTAGE_ROLLOUT', conditions: { rollout_percentage: 5, sticky: true }, value: 'fast-v3' }],
  },
  {
    ...production,
    key: 'regen_braking_level',
    name: 'Strongest recuperation',
    description: 'Level from 0 to 4.',
    type: 'NUMBER',
    defaultValue: 2,
    safetyLevel: 'SAFETY_RELEVANT',
    rules: [
      { type: 'VEHICLE_TARGET', priority: 200, conditions: { models: ['EV6', 'EV9'], regions: ['NA'] }, value: 3 },
      { type: 'VEHICLE_TARGET', priority: 100, conditions: { sw_version: '>=2.6.0' }, value: 4 },
    ],
  },
  {
    ...production,
    key: 'auto_lane_change',
    name: 'Automatic lane change',
    description: 'Held at its default since a supplier reported a fault in the rear radar.',
    type: 'BOOLEAN',
    defaultValue: false,
    safetyLevel: 'ASIL_B',
    rules: [
      {
        type: 'KILL_SWITCH',
        priority: 1000,
        conditions: { force_disabled: true, reason: 'Rear radar: supplier notice' },
      },
      { type: 'PERCENTAGE_ROLLOUT', conditions: { rollout_percentage: 25, models: ['Ioniq 6', 'EV9'] } },
    ],
  },
  {
    ...production,
    key: 'parking_speed_limit_kmh',
    name: 'Top speed of automatic parking',
    description: 'In km/h.',
    type: 'NUMBER',
    defaultValue: 4,
    safetyLevel: 'ASIL_B',
    rules: [{ type: 'VEHICLE_TARGET', conditions: { regions: ['KR'] }, value: 5 }],
  },
  {
    ...production,
    key: 'v2l_export_limit_w',
    name: 'Power for devices outside',
    description: 'Vehicle-to-load, in watts.',
    type: 'NUMBER',
    defaultValue: 1800,
    safetyLevel: 'SAFETY_RELEVANT',
    rules: [{ type: 'VEHICLE_TARGET', conditions: { regions: ['EU', 'KR'] }, value: 3600 }],
  },
  {
    ...production,
    key: 'seat_heating_rear',
    name: 'Rear seat heating',
    description: 'Part of the comfort subscriptions.',
    type: 'BOOLEAN',
    defaultValue: false,
    safetyLevel: 'NON_CRITICAL',
    rules: [
      {
        type: 'USER_ATTRIBUTE',
        conditions: { attribute: 'subscription', operator: 'in', values: ['comfort', 'premium'] },
      },
    ],
  },
  {
    ...production,
    key: COMPARED,
    name: 'Head-up display layout',
    description: 'The compact layout shows less and larger.',
    type: 'STRING',
    defaultValue: 'classic',
    safetyLevel: 'NON_CRITICAL',
    rules: [
      {
        type: 'PERCENTAGE_ROLLOUT',
        conditions: { rollout_percentage: 50, sticky: true, models: ['Ioniq 5', 'Ioniq 6', 'EV6'] },
        value: 'compact',
      },
    ],
  },
  {
    ...production,
    key: MEASURED,
    name: 'Eco route by default',
    description: 'Proposes the route that takes the least energy.',
    type: 'BOOLEAN',
    defaultValue: false,
    safetyLevel: 'NON_CRITICAL',
    rules: [{ type: 'PERCENTAGE_ROLLOUT', conditions: { rollout_percentage: MEASURED_SHARE, sticky: true } }],
  },
  {
    ...production,
    key: 'navigation_map_layers',
    name: 'Layers of the navigation map',
    description: 'What is drawn by default.',
    type: 'JSON',
    defaultValue: { traffic: true, chargers: true, weather: false },
    safetyLevel: 'NON_CRITICAL',
    rules: [
      {
        type: 'VEHICLE_TARGET',
        conditions: { regions: ['KR'] },
        value: { traffic: true, chargers: true, weather: true },
      },
    ],
  },
  {
    ...production,
    key: 'ota_download_window',
    name: 'Hours for downloading updates',
    description: 'Local time; Wi-Fi only unless a rule says otherwise.',
    type: 'JSON',
    defaultValue: { from: '01:00', to: '05:00', wifiOnly: true },
    safetyLevel: 'NON_CRITICAL',
    rules: [],
  },
  {
    ...production,
    key: SCOPED,
    name: 'Ventilation of the third row',
    description: 'Only the EV9 has a third row; other vehicles never learn of it.',
    type: 'BOOLEAN',
    defaultValue: false,
    safetyLevel: 'NON_CRITICAL',
    scope: ['EV9'],
    rules: [{ type: 'PERCENTAGE_ROLLOUT', conditions: { rollout_percentage: 50, sticky: true } }],
  },
  {
    ...production,
    key: REQUIRING,
    name: 'Hints of lane keeping in the display',
    description: 'Without lane keeping there is nothing to hint at, so it requires that flag.',
    type: 'BOOLEAN',
    defaultValue: false,
    safetyLevel: 'NON_CRITICAL',
    requires: [{ flagKey: KILLED }],
    rules: [{ type: 'VEHICLE_TARGET', conditions: { segment: SEGMENT.key } }],
  },
  {
    key: 'voice_assistant_model',
    name: 'Voice assistant model',
    description: 'Being tried before it goes to production.',
    type: 'STRING',
    defaultValue: 'on-board-s',
    safetyLevel: 'NON_CRITICAL',
    environment: 'STAGING',
    enabled: true,
    rules: [{ type: 'PERCENTAGE_ROLLOUT', conditions: { rollout_percentage: 100 }, value: 'hybrid-m' }],
  },
  {
    key: 'adaptive_suspension_preview',
    name: 'Suspension that sees the road ahead',
    description: 'Not ready.',
    type: 'BOOLEAN',
    defaultValue: false,
    safetyLevel: 'SAFETY_RELEVANT',
    environment: 'DEVELOPMENT',
    enabled: false,
    rules: [],
  },
];
