import { ApolloProvider, useMutation } from '@apollo/client/react';
import { createRoot } from 'react-dom/client';
import { SignInDocument } from '../generated/operations.ts';
import { keepToken, useToken } from '../session.ts';
import { SignIn } from '../sign-in.tsx';
import { client } from './client.ts';
import { FlagsPage } from './flags-page.tsx';
import { sentenceOf } from './sentence-of.ts';

function Page() {
  const [login] = useMutation(SignInDocument);
  if (useToken() !== null) return <FlagsPage />;
  return (
    <SignIn
      signIn={async (email, password) => {
        try {
          const { data } = await login({ variables: { email, password } });
          // Nothing that the last person has read is shown to the next.
          await client.clearStore();
          keepToken(data?.login.token ?? null);
          return '';
        } catch (refused) {
          return sentenceOf(refused);
        }
      }}
    />
  );
}

const root = document.getElementById('root');
if (root !== null)
  createRoot(root).render(
    <ApolloProvider client={client}>
      <Page />
    </ApolloProvider>,
  );
