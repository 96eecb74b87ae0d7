/** That a subgraph resolves all that its schema promises, told by the compiler. */
import type { GraphQLScalarType } from 'graphql';

/** What a field's resolver may give. */
type Given<Resolver> = Resolver extends (...args: never[]) => infer Result ? Result : never;

/** What GraphQL's default resolver takes from a parent's property: its value, or what it gives when it is called. */
type Taken<Result> = Result | (() => Result) | (null extends Result ? undefined : never);

/** The root types have no parent. */
type IsRoot<Parent> = string extends keyof Parent ? true : false;

/** Those fields of an object type that its parent does not have under the same name and with a value that fits. */
type Unanswered<TypeResolvers, Parent> = {
  [
    Field in keyof TypeResolvers as Field extends '__isTypeOf' | '__resolveType'
      ? never
      : IsRoot<Parent> extends true
        ? Field
        : Field extends keyof Parent
          ? Parent[Field] extends Taken<Given<NonNullable<TypeResolvers[Field]>>>
            ? never
            : Field
          : Field
  ]-?: NonNullable<TypeResolvers[Field]>;
};

/** An enum needs internal values where the domain spells it in another way. */
type Spelling<Enum> = NonNullable<Enum[keyof Enum]> extends keyof Enum ? unknown : Required<Enum>;

type Demanded<Type, TypeResolvers, Parents> = Type extends keyof Parents
  ? Unanswered<TypeResolvers, Parents[Type]>
  : Spelling<TypeResolvers>;

/**
 * Generated resolvers are all optional. Of these each is required that GraphQL's default, the parent's property, does not
 * answer with a value of the field's type. Scalars are the same for all subgraphs: `createSubgraph` adds them.
 */
export type CompleteResolvers<Resolvers, Parents> = Resolvers & {
  [
    Type in keyof Resolvers as NonNullable<Resolvers[Type]> extends GraphQLScalarType
      ? never
      : object extends Demanded<Type, NonNullable<Resolvers[Type]>, Parents>
        ? never
        : Type
  ]-?: Demanded<Type, NonNullable<Resolvers[Type]>, Parents>;
};
