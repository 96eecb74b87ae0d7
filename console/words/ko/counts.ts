/** Numbers as Korean writes them. */

export const number = new Intl.NumberFormat('ko');
