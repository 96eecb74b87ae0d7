/** Normalises contexts that come from people, from programs in the vehicle, or from the vehicle's settings. */

/**
 * Trims the blanks around a vehicle's model or region, because the names in rules have none. Blanks alone give null. A
 * value that is not text is returned as it is.
 */
export function enteredName<T>(name: T): T | string | null {
  return typeof name === 'string' ? name.trim() || null : name;
}
