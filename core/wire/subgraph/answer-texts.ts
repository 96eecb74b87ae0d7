/**
 * Several queries of a gateway in one request to a subgraph, and their answers as text, so that an answer which is only
 * passed on is neither parsed nor written again. The request's body is a JSON array of questions. The response has a
 * line for each of them, in their order: `=` and the answer, or `!` and a response that is no such answer.
 */
import { isObject } from '../../json/json-value.ts';
import { isSubgraphResponse, type SubgraphRequest, type SubgraphResponse } from './subgraph.ts';

/** The path at which a subgraph's process answers. */
export const ANSWERS_PATH = '/answers';

/** The most questions in one request, and the most characters of one of them; a longer one is asked by itself. */
export const MAX_QUESTIONS = 100;
export const MAX_QUESTION_LENGTH = 16 * 1024;

/** `{"data": …}` in UTF-8 with a line end after it, or a response with errors, without data, or from memory. */
export type AnswerText =
  | { readonly json: Buffer; readonly response?: undefined }
  | { readonly json?: undefined; readonly response: SubgraphResponse };

const isAnswer = ({ data, errors = [], extensions }: SubgraphResponse) =>
  data != null && errors.length === 0 && extensions?.remembered !== true;

/** Gives a response as text, where it is an answer. */
export function answerTextOf(response: SubgraphResponse): AnswerText {
  return isAnswer(response) ? { json: Buffer.from(`${JSON.stringify({ data: response.data })}\n`) } : { response };
}

/** Writes a query as a question; questions are joined by commas, in brackets. */
export function questionOf({ query, operationName, variables, identity, traceparent }: SubgraphRequest): string {
  return JSON.stringify({ query, operationName, variables, identity, traceparent });
}

function isRequest(value: unknown): value is SubgraphRequest {
  if (!isObject(value)) return false;
  const { query, operationName, variables, identity, traceparent } = value;
  return (
    typeof query === 'string' &&
    (operationName === undefined || typeof operationName === 'string') &&
    (variables === undefined || isObject(variables)) &&
    (traceparent === undefined || typeof traceparent === 'string') &&
    isObject(identity)
  );
}

/** Reads the body of a request whose signature was checked; null for anything but questions. */
export function readQuestions(body: string): readonly SubgraphRequest[] | null {
  let questions: unknown;
  try {
    questions = JSON.parse(body);
  } catch {
    return null;
  }
  return Array.isArray(questions) && questions.length <= MAX_QUESTIONS && questions.every(isRequest) ? questions : null;
}

/** Writes the line of a response. */
export function answerLine(response: SubgraphResponse): string {
  return isAnswer(response) ? `=${JSON.stringify({ data: response.data })}\n` : `!${JSON.stringify(response)}\n`;
}

function responseIn(text: string): SubgraphResponse {
  const response: unknown = JSON.parse(text);
  if (!isSubgraphResponse(response)) throw new Error('This is not a GraphQL response.');
  return response;
}

const LINE_END = 0x0a;
const ANSWER = 0x3d;

/**
 * Reads the lines of `count` answers. Each answer has bytes of its own, which may be kept. Throws for anything else.
 */
export function readAnswerLines(lines: Buffer, count: number): readonly AnswerText[] {
  const answers: AnswerText[] = [];
  for (let from = 0; from < lines.length;) {
    const end = lines.indexOf(LINE_END, from) + 1;
    if (end === 0) break;
    const text = lines.subarray(from + 1, end);
    if (lines[from] === ANSWER) answers.push({ json: Buffer.from(text) });
    else answers.push({ response: responseIn(text.toString()) });
    from = end;
  }
  if (answers.length !== count) throw new Error(`There are ${answers.length} answers to ${count} questions.`);
  return answers;
}
