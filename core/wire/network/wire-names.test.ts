import { expect, test } from '@jest/globals';
import { DRAINING_HEADER } from '../subgraph/draining.ts';
import { AGENT_NAME } from './agent-name.ts';

/** A token of HTTP (RFC 9110, section 5.6.2). */
const TOKEN = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;

test.each([DRAINING_HEADER, AGENT_NAME])('the name %s can stand in a header', (name) => {
  expect(name).toMatch(TOKEN);
});

test('the header has the form in which Node gives the names of received headers', () => {
  expect(DRAINING_HEADER).toBe(DRAINING_HEADER.toLowerCase());
});
