// A real OpenID provider on a port of this machine for tests/it/oidc.rs: it signs in whom `login_hint` names, and rotates
// its keys, slows down or breaks when told. Prints one line of JSON when it is ready.
//
//   BONDED_OIDC_PACKAGES    where install.sh put the package
//   PORT                    0, or unset: any that is free
import { generateKeyPairSync, randomUUID } from 'node:crypto';
import { createServer } from 'node:http';
import { pathToFileURL } from 'node:url';

const packages = process.env.BONDED_OIDC_PACKAGES;
const { default: Provider } = await import(pathToFileURL(`${packages}/node_modules/oidc-provider/lib/index.js`));

const AUDIENCE = 'https://bonded.example/api';
const REDIRECTS = ['http://127.0.0.1:9/callback', 'http://127.0.0.1:9/v1/provider/callback'];
const people = {
  owner: { email: 'owner@nordwind.example', email_verified: true, tenant: 'nordwind-imports', amr: ['pwd', 'otp'] },
  viewer: { email: 'viewer@nordwind.example', email_verified: false, tenant: 'nordwind-imports', amr: ['pwd'] },
  guest: { email: 'guest@lantern.example', email_verified: true, amr: ['pwd'] },
};
const signIn = { redirect_uris: REDIRECTS, grant_types: ['authorization_code'], response_types: ['code'] };
const clients = [
  { client_id: 'bonded-public', token_endpoint_auth_method: 'none', ...signIn },
  // Characters that RFC 6749 wants encoded before they go into the Authorization header.
  { client_id: 'bonded-desk', client_secret: 'se+cr et:%/', ...signIn },
  { client_id: 'fictional-broker', client_secret: 'broker-secret', redirect_uris: [], response_types: [], grant_types: ['client_credentials'] },
];

function freshKey() {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  return { ...privateKey.export({ format: 'jwk' }), kid: randomUUID(), alg: 'RS256', use: 'sig' };
}

function providerWith(issuer, keys) {
  const provider = new Provider(issuer, {
    jwks: { keys },
    clients,
    claims: { openid: ['sub', 'tenant', 'amr'], email: ['email', 'email_verified'] },
    conformIdTokenClaims: false,
    pkce: { required: () => true },
    cookies: { keys: [randomUUID()] },
    ttl: { AccessToken: 120, ClientCredentials: 120, Grant: 600, IdToken: 120, Interaction: 600, Session: 600 },
    features: {
      devInteractions: { enabled: false },
      clientCredentials: { enabled: true },
      resourceIndicators: {
        enabled: true,
        defaultResource: () => AUDIENCE,
        useGrantedResource: () => true,
        getResourceServerInfo: () => ({ scope: 'deliver', audience: AUDIENCE, accessTokenFormat: 'jwt', jwt: { sign: { alg: 'RS256' } } }),
      },
    },
    extraTokenClaims: (ctx, token) => (token.accountId ? people[token.accountId] : { tenant: 'nordwind-imports' }),
    findAccount: (ctx, id) => people[id] && { accountId: id, claims: () => ({ sub: id, ...people[id] }) },
    // Who is signed in has agreed to all.
    loadExistingGrant: async (ctx) => {
      const grant = new provider.Grant({ clientId: ctx.oidc.client.clientId, accountId: ctx.oidc.session.accountId });
      grant.addOIDCScope('openid email');
      grant.addResourceScope(AUDIENCE, 'deliver');
      await grant.save();
      return grant;
    },
    interactions: { url: (ctx, interaction) => `/sign-in/${interaction.uid}` },
  });
  provider.use(async (ctx, next) => {
    if (!ctx.path.startsWith('/sign-in/')) return next();
    const { params } = await provider.interactionDetails(ctx.req, ctx.res);
    const person = people[params.login_hint];
    const result = person ? { login: { accountId: params.login_hint, amr: person.amr } } : { error: 'access_denied' };
    return provider.interactionFinished(ctx.req, ctx.res, result);
  });
  return provider.callback();
}

let answer;
let keys = [freshKey()];
let slowMillis = 0;
let keysAsked = 0;

const server = createServer(async (request, response) => {
  const url = new URL(request.url, 'http://127.0.0.1');
  if (url.pathname === '/jwks') {
    keysAsked += 1;
    await new Promise((resolve) => setTimeout(resolve, slowMillis));
  }
  switch (url.pathname) {
    case '/control/rotate':
      // The new key signs from now on; with `keep` the old ones are shown beside it.
      keys = [freshKey(), ...(url.searchParams.has('keep') ? keys : [])];
      answer = providerWith(issuer, keys);
      return response.end();
    case '/control/slow':
      slowMillis = Number(url.searchParams.get('ms'));
      return response.end();
    case '/control/keys-asked':
      return response.end(String(keysAsked));
    default:
      return answer(request, response);
  }
});
await new Promise((resolve) => server.listen(Number(process.env.PORT ?? 0), '127.0.0.1', resolve));
const issuer = `http://127.0.0.1:${server.address().port}`;
answer = providerWith(issuer, keys);
console.log(JSON.stringify({ issuer }));
// Nobody is left behind: whoever started this holds the other end of its standard input.
process.stdin.resume().on('end', () => process.exit());
