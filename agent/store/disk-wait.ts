/**
 * The milliseconds for which a vehicle waits for its disk. A disk that does not answer must keep neither a kill switch
 * from taking effect, nor a start from evaluating, nor the next connection from beginning: the vehicle goes on from
 * memory, as after a failed write.
 */
export const DISK_WAIT_MS = 2_000;
