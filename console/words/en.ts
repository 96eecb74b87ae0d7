/** Every text of the console in English, from a file for each room; a key belongs to one room alone. */
import { audience } from './en/audience.ts';
import { audit } from './en/audit.ts';
import { changes } from './en/changes.ts';
import { charts } from './en/charts.ts';
import { experiments } from './en/experiments.ts';
import { faults } from './en/faults.ts';
import { flags } from './en/flags.ts';
import { fleet } from './en/fleet.ts';
import { forms } from './en/forms.ts';
import { frame } from './en/frame.ts';
import { kill } from './en/kill.ts';
import { rollouts } from './en/rollouts.ts';
import { rules } from './en/rules.ts';
import { scopes } from './en/scopes.ts';

export const en = {
  ...frame,
  ...faults,
  ...flags,
  ...rules,
  ...forms,
  ...changes,
  ...kill,
  ...audience,
  ...fleet,
  ...audit,
  ...charts,
  ...rollouts,
  ...experiments,
  ...scopes,
};

/** A catalogue: the texts of one language. */
export type Words = typeof en;
