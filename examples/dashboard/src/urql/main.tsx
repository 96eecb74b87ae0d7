import { createRoot } from 'react-dom/client';
import { Provider, useMutation } from 'urql';
import { SignInDocument } from '../generated/operations.ts';
import { sentenceFor } from '../refusals.ts';
import { keepToken, useToken } from '../session.ts';
import { SignIn } from '../sign-in.tsx';
import { client } from './client.ts';
import { FlagsPage } from './flags-page.tsx';

function Page() {
  const [, login] = useMutation(SignInDocument);
  if (useToken() !== null) return <FlagsPage />;
  return (
    <SignIn
      signIn={async (email, password) => {
        const { data, error } = await login({ email, password });
        if (data == null) return sentenceFor(error?.graphQLErrors ?? []);
        keepToken(data.login.token);
        return '';
      }}
    />
  );
}

const root = document.getElementById('root');
if (root !== null)
  createRoot(root).render(
    <Provider value={client}>
      <Page />
    </Provider>,
  );
