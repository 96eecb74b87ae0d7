/** Types with which the compiler checks that a subgraph resolves every field of its schema. */
import type { GraphQLScalarType } from 'graphql';

/** The result type of a field's resolver. */
type Given<Resolver> = Resolver extends (...args: never[]) => infer Result ? Result : never;

/** The types that GraphQL's default resolver accepts as a parent's property: a value, or a function that gives it. */
type Taken<Result> = Result | (() => Result) | (null extends Result ? undefined : never);

/** True for root types, which have no parent. */
type IsRoot<Parent> = string extends keyof Parent ? true : false;

/** The fields of an object type that need a resolver: its parent has no property of that name with a fitting type. */
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

/** Requires an enum's internal values where the domain spells a value differently. */
type Spelling<Enum> = NonNullable<Enum[keyof Enum]> extends keyof Enum ? unknown : Required<Enum>;

type Demanded<Type, TypeResolvers, Parents> = Type extends keyof Parents
  ? Unanswered<TypeResolvers, Parents[Type]>
  : Spelling<TypeResolvers>;

/**
 * Resolvers that are complete. Generated resolver types make every resolver optional; this type requires each one that
 * GraphQL's default (the parent's property) cannot replace with a value of the field's type. Scalars are the same for
 * all subgraphs: `createSubgraph` adds them.
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
