/** The names of the audit log for changes of segments. */
export const SEGMENT_ACTIONS: readonly string[] = ['SAVE_SEGMENT', 'DELETE_SEGMENT'];
