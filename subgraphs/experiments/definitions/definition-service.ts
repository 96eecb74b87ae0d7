/** The use cases of metric definitions. */
import { isDeepStrictEqual } from 'node:util';
import type { CallerIdentity } from '../../../core/access/caller.ts';
import { FleetFlagError } from '../../../core/errors.ts';
import type { PrismaClient } from '../../../prisma/generated/client.ts';
import { appendAudit } from '../../shared/audit/audit-log.ts';
import type { MetricDefinitionInput } from '../generated/resolvers.ts';
import { countDefinitions, findDefinition, findDefinitions, saveDefinition } from './definition-store.ts';
import { definitionContent, readMetricDefinition, type MetricDefinition } from './metric-definition.ts';

/** The most declared metrics: they are listed in one answer. */
const MAX_DEFINITIONS = 1_000;

/** Declares and lists metrics. */
export class DefinitionService {
  constructor(private readonly prisma: PrismaClient) {}

  /** Gives all declared metrics, by key. */
  all(): Promise<MetricDefinition[]> {
    return findDefinitions(this.prisma);
  }

  /**
   * Declares a metric, or changes what was declared of it. What is being watched or compared goes on by the definition
   * with which it began. A declaration of what holds already leaves no audit row.
   *
   * @throws BAD_USER_INPUT at `input.…` for the first fault; LIMIT_EXCEEDED for more than 1,000 metrics
   */
  define(identity: CallerIdentity, input: MetricDefinitionInput): Promise<MetricDefinition> {
    const definition = readMetricDefinition(input);
    return this.prisma.$transaction(async (tx) => {
      const before = await findDefinition(tx, definition.key);
      if (isDeepStrictEqual(before, definition)) return definition;
      if (before === null && (await countDefinitions(tx)) >= MAX_DEFINITIONS)
        throw new FleetFlagError('LIMIT_EXCEEDED', `At most ${MAX_DEFINITIONS} metrics may be declared.`, {
          field: 'input.key',
          limit: MAX_DEFINITIONS,
        });
      const saved = await saveDefinition(tx, definition);
      await appendAudit(tx, identity, {
        action: 'DEFINE_METRIC',
        ...(before !== null && { before: definitionContent(before) }),
        after: definitionContent(saved),
      });
      return saved;
    });
  }
}
