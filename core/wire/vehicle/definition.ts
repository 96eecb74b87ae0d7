/**
 * The wire forms that vehicles trust: the payloads of signed flag definitions and statements.
 *
 * The server signs them and the agent verifies them (compact JWS, EdDSA); this file only says what is signed.
 */
import { killActivationOf, ownActivation } from '../../activation/activation.ts';
import { membersOf, type Members } from '../../json/json-value.ts';
import type { Environment, FlagDefinition } from '../../model.ts';

/** The JWS `typ` headers. A signature that was made for one of them is never accepted for the other. */
export const DEFINITION_JWS_TYPE = 'fleetflag-definition+jws';
export const STATEMENT_JWS_TYPE = 'fleetflag-statement+jws';

/** The seconds for which a flag may be used after the last verified contact: 7 days. */
export const DEFAULT_TTL_SECONDS = 604_800;

/**
 * The payload of a `SignedFlag.jws`: a definition, or a tombstone for a flag that has left the environment or one of
 * its partitions. In a definition each whitelist is `{"digests": […]}` instead of `{"vins": […]}`.
 */
export type SignedPayload =
  | {
      /** Source: `definitionVersion`. */
      readonly v: DefinitionVersion;
      readonly environment: Environment;
      readonly key: string;
      readonly revision: number;
      readonly removed: false;
      readonly flag: SignedFlagForm;
    }
  | {
      readonly v: 1;
      readonly environment: Environment;
      readonly key: string;
      readonly revision: number;
      readonly removed: true;
      /** The partition that the flag has left; absent or null where it has left all of them. */
      readonly partition?: string | null;
    };

/** The versions of the signed form of a flag. */
export const DEFINITION_VERSIONS = [1, 2] as const;
/** The version of a flag's signed form. */
export type DefinitionVersion = (typeof DEFINITION_VERSIONS)[number];

/** The members of a flag that older agents cannot honour. */
type Conditional = 'requires' | 'excludes' | 'activation' | 'killActivation';

/**
 * A flag as it is signed. An agent that knows no dependencies or no activation must not serve a flag that has some, so
 * its usual place says that such a flag is disabled, and `content` has what it is. A release that brings a flag its
 * first dependency or activation leaves the stable content in its usual place until it is completed.
 */
export type SignedFlagForm = Omit<FlagDefinition, Conditional> & {
  readonly content?: Pick<FlagDefinition, 'enabled' | 'rules' | Conditional>;
};

/**
 * Says whether vehicles may change over to the stable content of a flag, and stop the flag, at any time. The new
 * content of a release does not count: an agent that knows no activation knows no release either, and goes on with the
 * stable one.
 */
function isImmediate({ activation, killActivation }: FlagDefinition): boolean {
  return ownActivation({ activation }) === 'IMMEDIATE' && killActivationOf({ killActivation }) === 'IMMEDIATE';
}

/**
 * Gives the version of a flag's signed form. It is 2 where the flag's stable content has an activation: an agent that
 * reads `content` for its dependencies, and knows no activation, then holds the definition and does not serve it.
 */
export function definitionVersion(flag: FlagDefinition): DefinitionVersion {
  return isImmediate(flag) ? 1 : 2;
}

/** Gives the form in which a flag is signed. Absent members stay absent, so that older flags keep their signatures. */
export function signedForm({
  requires = [],
  excludes = [],
  scope = null,
  valueSchema = null,
  activation,
  killActivation,
  ...flag
}: FlagDefinition): SignedFlagForm {
  // An agent older than value contracts ignores one. The control plane has checked all values that it could serve.
  const scoped = { ...flag, ...(scope !== null && { scope }), ...(valueSchema !== null && { valueSchema }) };
  const activations = { activation: activation ?? 'IMMEDIATE', killActivation: killActivation ?? 'IMMEDIATE' } as const;
  const isPlain = isImmediate({ ...flag, ...activations });
  if (requires.length === 0 && excludes.length === 0 && isPlain) return scoped;
  const { enabled, rules } = flag;
  const content = { enabled, rules, requires, excludes, ...(!isPlain && activations) };
  return { ...scoped, enabled: false, rules: [], content };
}

/**
 * Gives the members of the flag that a signed form stands for, not checked further. Source: `signedForm`.
 *
 * @param form the member `flag` of a verified payload; any JSON
 */
export function flagInForm(form: unknown): Members {
  const { content, ...flag } = membersOf(form);
  if (content === undefined) return flag;
  const { enabled, rules, requires, excludes, activation, killActivation } = membersOf(content);
  return {
    ...flag,
    enabled,
    rules,
    requires,
    excludes,
    ...(activation !== undefined && { activation }),
    ...(killActivation !== undefined && { killActivation }),
  };
}

/** The payload of a `statement`: it says that the environment stood at `revision` at `issuedAt` (Unix seconds). */
export interface StatementPayload {
  readonly v: 1;
  readonly environment: Environment;
  readonly revision: number;
  readonly issuedAt: number;
}
