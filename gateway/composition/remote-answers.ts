/**
 * Sends queries to a subgraph in another process, and gives the answers as JSON text. The queries of one turn of the
 * event loop share a request.
 */
import DataLoader from 'dataloader';
import {
  ANSWERS_PATH,
  MAX_QUESTIONS,
  MAX_QUESTION_LENGTH,
  answerTextOf,
  questionOf,
  readAnswerLines,
  type AnswerText,
} from '../../core/wire/subgraph/answer-texts.ts';
import { IDENTITY_HEADER, type IdentityTokens } from '../../core/credentials/identity-token.ts';
import { traceparent } from '../../core/monitoring/tracing.ts';
import type { SubgraphConnection, SubgraphName, SubgraphRequest } from '../../core/wire/subgraph/subgraph.ts';
import { gatewayIdentity } from '../credentials/gateway-identity.ts';
import type { SubgraphInstances } from './subgraph-instances.ts';

/** The subgraph, and the ways to reach it. */
export interface RemoteAnswersOptions {
  readonly name: SubgraphName;
  readonly tokens: IdentityTokens;
  readonly instances: Pick<SubgraphInstances, 'post'>;
  /** Sends a query by itself that is too long to share a request. */
  readonly execute: SubgraphConnection['execute'];
}

/** Creates the function that sends a query. It rejects where the subgraph cannot be reached. */
export function remoteAnswers({ name, tokens, instances, execute }: RemoteAnswersOptions) {
  const asking = new DataLoader<string, AnswerText>(
    async (questions) => {
      const body = `[${questions.join()}]`;
      const attempt = async () => ({
        headers: {
          'content-type': 'text/plain; charset=utf-8',
          [IDENTITY_HEADER]: await tokens.sign(gatewayIdentity(), name, body),
        },
        body,
      });
      // Only queries are requested in this way.
      const answer = await instances.post(ANSWERS_PATH, attempt, true);
      if (answer.status !== 200) throw new Error(`HTTP ${answer.status}: ${answer.body.toString('utf8', 0, 200)}`);
      return readAnswerLines(answer.body, questions.length);
    },
    { cache: false, maxBatchSize: MAX_QUESTIONS, batchScheduleFn: (send) => setImmediate(send) },
  );
  return async (request: SubgraphRequest): Promise<AnswerText> => {
    const question = questionOf({ ...request, traceparent: traceparent() ?? undefined });
    return question.length > MAX_QUESTION_LENGTH ? answerTextOf(await execute(request)) : asking.load(question);
  };
}
