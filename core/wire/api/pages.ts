/** The number of items of a connection that a client gets when it does not say how many. */
export const DEFAULT_PAGE = 20;
/** The most items of a connection that a client may ask for at once. */
export const MAX_PAGE = 100;
