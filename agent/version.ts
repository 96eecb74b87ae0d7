/** This agent's version, as its package.json has it (a test holds the two together). */
export const AGENT_VERSION = '1.2.0';
