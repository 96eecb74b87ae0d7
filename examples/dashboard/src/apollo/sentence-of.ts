import { CombinedGraphQLErrors } from '@apollo/client';
import { sentenceFor } from '../refusals.ts';

/** Gives a sentence about an error of Apollo Client; one without GraphQL errors is of the network. */
export const sentenceOf = (error: unknown): string => sentenceFor(CombinedGraphQLErrors.is(error) ? error.errors : []);
