import { describe, expect, it } from '@jest/globals';
import { getIntrospectionQuery, getOperationAST, parse } from 'graphql';
import { answerIntrospection } from './introspection.ts';
import { readApiSchema } from './supergraph.ts';

const API = readApiSchema();
const answer = (text: string, variables = {}) => {
  const document = parse(text);
  return answerIntrospection(API, document, getOperationAST(document)!, variables);
};

describe('introspection', () => {
  it('is answered as graphql-js does, in every form that its clients send', async () => {
    const result = await answer(
      getIntrospectionQuery({
        oneOf: true,
        inputValueDeprecation: true,
        directiveIsRepeatable: true,
        schemaDescription: true,
        specifiedByUrl: true,
      }),
    );
    expect(result?.errors).toBeUndefined();
    expect(
      await answer(
        'query ($n: String!) { __typename ...More } fragment More on Query { __type(name: $n) { name isOneOf } }',
        { n: 'FlagFilter' },
      ),
    ).toEqual({ data: { __typename: 'Query', __type: { name: 'FlagFilter', isOneOf: false } } });
  });

  it('is left to the planner where the operation asks for other fields', async () => {
    expect(await answer('{ fleet { total } }')).toBeNull();
    expect(await answer('{ __typename }')).toBeNull();
    expect(await answer('{ ... { __schema { description } } fleet { total } }')).toBeNull();
  });

  it('that the planner does not know is refused beside other fields', async () => {
    const result = await answer('{ fleet { total } __type(name: "FlagFilter") { isOneOf } }');
    expect(result).toMatchObject({
      errors: [{ message: expect.stringContaining('isOneOf'), extensions: { code: 'BAD_USER_INPUT' } }],
    });
  });
});
