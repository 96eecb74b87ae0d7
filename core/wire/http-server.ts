/**
 * Connections that the kernel holds until a process of the control plane takes them. After an outage a fleet comes
 * back at once, and what finds no room is reset. The kernel's `net.core.somaxconn` caps it.
 */
export const LISTEN_BACKLOG = 8_192;
