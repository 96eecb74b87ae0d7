/** Settings of GraphQL Code Generator: each operation of operations.graphql becomes a typed document. */
export default {
  schema: '../../schema.graphql',
  documents: 'operations.graphql',
  generates: {
    'src/generated/operations.ts': {
      plugins: ['typescript-operations', 'typed-document-node'],
      config: {
        documentMode: 'documentNode',
        useTypeImports: true,
        immutableTypes: true,
        skipTypename: true,
        enumType: 'string-literal',
        avoidOptionals: { field: true },
        defaultScalarType: 'unknown',
        strictScalars: true,
        scalars: { DateTime: 'string', Duration: 'string', JSON: 'unknown' },
      },
    },
  },
};
