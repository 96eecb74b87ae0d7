/** Every text of the console in Korean, in the words of a carmaker, from a file for each room. */
import type { Words } from './en.ts';
import { audience } from './ko/audience.ts';
import { audit } from './ko/audit.ts';
import { changes } from './ko/changes.ts';
import { charts } from './ko/charts.ts';
import { experiments } from './ko/experiments.ts';
import { faults } from './ko/faults.ts';
import { flags } from './ko/flags.ts';
import { fleet } from './ko/fleet.ts';
import { forms } from './ko/forms.ts';
import { frame } from './ko/frame.ts';
import { kill } from './ko/kill.ts';
import { rollouts } from './ko/rollouts.ts';
import { rules } from './ko/rules.ts';
import { scopes } from './ko/scopes.ts';

export const ko: Words = {
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
