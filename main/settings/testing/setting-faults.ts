/** Reads settings as a start does, for tests of their faults. */
import { ConfigurationError, readConfiguration, type ReadOptions } from '../../configuration.ts';

/** The environment variables of a test. */
export type TestVariables = Record<string, string | undefined>;

/** Gives the faults of settings; none where they can be used. */
export function settingFaults(variables: TestVariables, options?: ReadOptions): readonly string[] {
  try {
    readConfiguration(variables, options);
  } catch (error) {
    if (error instanceof ConfigurationError) return error.faults;
    throw error;
  }
  return [];
}
