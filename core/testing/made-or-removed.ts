/**
 * Gives the result of `make`. When `make` fails, calls `remove`, because the test has nothing yet that it could remove.
 *
 * @param remove removes all that `make` may have begun
 * @throws the fault of `make`; where `remove` fails as well, an error about that, whose cause is the fault of `make`
 */
export async function madeOrRemoved<Made>(make: () => Promise<Made>, remove: () => Promise<unknown>): Promise<Made> {
  try {
    return await make();
  } catch (error) {
    await remove().catch((second: unknown) => {
      throw new Error(`What was begun before a fault was not removed: ${String(second)}`, { cause: error });
    });
    throw error;
  }
}
