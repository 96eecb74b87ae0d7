/** GraphQL to domain, for accounts and sessions; no logic of its own. */
import type { SubgraphContext } from '../../shared/subgraph/subgraph.ts';
import type { CreateUserInput, UpdateUserInput } from './account-input.ts';
import type { Accounts } from './accounts.ts';
import type { SignInService } from '../sessions/sign-in.ts';

export interface AccountServices {
  readonly accounts: Accounts;
  readonly signIn: SignInService;
}

type Context = SubgraphContext<AccountServices>;

export const accountMutations = {
  login: (_: unknown, { email, password }: { email: string; password: string }, { services, identity }: Context) =>
    services.signIn.login(identity, email, password),
  logout: (_: unknown, __: unknown, { services, identity }: Context) => services.signIn.logout(identity),
  changePassword: (_: unknown, args: { current: string; new: string }, { services, identity }: Context) =>
    services.signIn.changePassword(identity, args.current, args.new),
  createUser: (_: unknown, { input }: { input: CreateUserInput }, { services, identity }: Context) =>
    services.accounts.create(identity, input),
  updateUser: (_: unknown, { id, input }: { id: string; input: UpdateUserInput }, { services, identity }: Context) =>
    services.accounts.update(identity, id, input),
};
