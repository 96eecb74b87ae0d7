/**
 * Entity tags for the answers to persisted queries by GET (RFC 9110, section 8.8.3). Where only an environment's
 * revision can change an answer, its tag is known without running the query: docs/decisions/cached-answers.md.
 */
import { createHash } from 'node:crypto';
import type { GraphQLSchema } from 'graphql';
import { permissionScope, type Caller } from '../../../core/access/caller.ts';
import { canonicalJson } from '../../../core/json/canonical-json.ts';
import type { SubgraphConnection } from '../../../core/wire/subgraph.ts';
import { gatewayIdentity } from '../../credentials/api-key-directory.ts';
import { revisionGoverned, type OperationCall } from '../../operations/answers/governed-fields.ts';

const REVISIONS = '{ environmentRevisions { environment revision changedAt } }';

const digest = (text: string) => createHash('sha256').update(text).digest('base64url');

/** For an answer of which nothing is known but its text. */
export function tagOfAnswer(text: string): string {
  return `"${digest(text)}"`;
}

/**
 * Whether an If-None-Match names `tag`, by weak comparison (RFC 9110, section 13.1.2). `*` names none: it is for
 * changes.
 */
export function isNamed(tag: string, ifNoneMatch: string | undefined): boolean {
  const opaque = (given: string) => given.trim().replace(/^W\//, '');
  return ifNoneMatch !== undefined && ifNoneMatch.split(',').some((given) => opaque(given) === opaque(tag));
}

export class EntityTags {
  readonly #isGoverned: (call: OperationCall) => boolean;
  /** Another schema may answer otherwise to the same. */
  readonly #schema: string;

  constructor(
    private readonly flags: SubgraphConnection,
    composition: { readonly apiSchema: GraphQLSchema; readonly supergraphSdl: string },
  ) {
    this.#isGoverned = revisionGoverned(composition.apiSchema);
    this.#schema = digest(composition.supergraphSdl);
  }

  /**
   * The tag of the answer that `caller` will get to a valid persisted query, or null where the answer has to be seen.
   * Of revisions that are read now: ask before the query runs, so that no tag is newer than its answer.
   */
  async ahead(call: OperationCall, caller: Caller): Promise<string | null> {
    if (!this.#isGoverned(call)) return null;
    const revisions = await this.#revisions();
    if (revisions === null) return null;
    // Weak: the same meaning, not necessarily the same bytes from one version of the control plane to the next.
    return `W/"${digest(canonicalJson([this.#schema, call.sha256, call.variables, permissionScope(caller), revisions]))}"`;
  }

  async #revisions(): Promise<unknown> {
    try {
      return (
        (await this.flags.execute({ query: REVISIONS, identity: gatewayIdentity() })).data?.['environmentRevisions'] ??
        null
      );
    } catch {
      // The query itself says better what is away.
      return null;
    }
  }
}
