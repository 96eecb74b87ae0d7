/** The texts of the control plane's errors, by their codes. */
export const faults = {
  faults: {
    UNAUTHENTICATED: {
      title: 'You are signed out, and nothing was changed.',
      advice: 'Sign in again, then repeat the last step.',
    },
    FORBIDDEN: {
      title: 'Your account may not do this.',
      advice: 'Ask a person whose role allows it to do it, or ask an administrator for that role.',
    },
    BAD_USER_INPUT: { title: 'Something in the input is wrong.', advice: 'Correct what is named below and try again.' },
    NOT_FOUND: { title: 'This does not exist.', advice: 'It may have been removed meanwhile. Go back and look again.' },
    CONFLICT: {
      title: 'It has changed meanwhile, or its state does not allow this.',
      advice: 'Look at how it is now, decide again, and repeat the step.',
    },
    LIMIT_EXCEEDED: { title: 'This exceeds a limit.', advice: 'Make it smaller and try again.' },
    RATE_LIMITED: { title: 'Too many requests.', advice: 'Nothing was done. Wait, then try again.' },
    PERSISTED_QUERY_NOT_FOUND: {
      title: 'The control plane does not know this operation.',
      advice: 'Reload the page: the control plane may have been updated.',
    },
    PERSISTED_QUERY_REQUIRED: {
      title: 'This credential may run registered operations only.',
      advice: 'Sign in with your own account.',
    },
    SERVICE_UNAVAILABLE: {
      title: 'A part of the control plane is down.',
      advice: 'Try again: repeating this is safe. Vehicles keep what they have.',
    },
    INTERNAL_SERVER_ERROR: {
      title: 'The control plane has failed at this.',
      advice: 'Try once more, then give the request’s number to the operator of the control plane.',
    },
    UNREACHABLE: {
      title: 'The control plane cannot be reached.',
      advice:
        'Check the network and try again. A change that you have just sent may have been made all the same. Vehicles keep what they have.',
    },
  },
  faultRetryAfter: (seconds: string) => `Wait ${seconds} s.`,
  faultRequest: (id: string) => `Request ${id}`,
};
