/** Numbers and lists as English writes them. */

export const number = new Intl.NumberFormat('en');
/** Joins phrases that all hold. */
export const list = new Intl.ListFormat('en', { type: 'conjunction' });
/** Joins phrases of which one holds. */
export const choice = new Intl.ListFormat('en', { type: 'disjunction' });

/** Gives the word for that many vehicles. */
export const vehicles = (count: number) => (count === 1 ? 'vehicle' : 'vehicles');
