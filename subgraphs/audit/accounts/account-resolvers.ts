/** Maps GraphQL to the domain for accounts and sessions; it has no logic of its own. */
import type { SubgraphContext } from '../../shared/subgraph/subgraph.ts';
import type { MutationResolvers } from '../generated/resolvers.ts';
import type { Accounts } from './accounts.ts';
import type { SignInService } from '../sessions/sign-in.ts';

/** The services of accounts and sessions. */
export interface AccountServices {
  readonly accounts: Accounts;
  readonly signIn: SignInService;
}

type Context = SubgraphContext<AccountServices>;

/** The mutations of accounts and sessions. */
export const accountMutations = {
  login: (_, { email, password }, { services, identity }) => services.signIn.login(identity, email, password),
  logout: (_, __, { services, identity }) => services.signIn.logout(identity),
  changePassword: (_, args, { services, identity }) => services.signIn.changePassword(identity, args.current, args.new),
  createUser: (_, { input }, { services, identity }) => services.accounts.create(identity, input),
  updateUser: (_, { id, input, expectedUpdatedAt }, { services, identity }) =>
    services.accounts.update(identity, id, input, expectedUpdatedAt),
} satisfies MutationResolvers<Context>;
