// The lab's OpenID provider: the real oidc-provider with client credentials and JWT access tokens (RFC 9068).
// Usage: node provider.mjs CONFIG.json. Two issuers run in one process: the one that the gateway trusts, and a
// foreign one with keys of its own, for tokens that must be refused.
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:https';
import Provider from 'oidc-provider';

const conf = JSON.parse(readFileSync(process.argv[2], 'utf8'));
const clients = new Map(conf.clients.map((c) => [c.id, c]));

// Resource indicator -> the audience of the token. The first is what a client gets that names none.
const AUDIENCES = { 'urn:sluice': 'sluice', 'urn:somewhere-else': 'somewhere-else' };

function makeKeys() {
  const kinds = [
    ['RS256', () => generateKeyPairSync('rsa', { modulusLength: 2048 })],
    ['ES256', () => generateKeyPairSync('ec', { namedCurve: 'P-256' })],
    ['EdDSA', () => generateKeyPairSync('ed25519')],
  ];
  return kinds.map(([alg, make]) => ({
    ...make().privateKey.export({ format: 'jwk' }),
    kid: `${alg}-${randomBytes(6).toString('hex')}`,
    use: 'sig',
    alg,
  }));
}

function loadKeys(file) {
  if (!existsSync(file)) {
    writeFileSync(file, JSON.stringify(makeKeys()), { mode: 0o600 });
  }
  return JSON.parse(readFileSync(file, 'utf8'));
}

function makeProvider(issuer) {
  return new Provider(issuer.url, {
    jwks: { keys: loadKeys(issuer.keys) },
    cookies: { keys: [randomBytes(32).toString('hex')] },
    clients: conf.clients.map((c) => ({
      client_id: c.id,
      client_secret: c.secret,
      grant_types: ['client_credentials'],
      redirect_uris: [],
      response_types: [],
    })),
    features: {
      devInteractions: { enabled: false },
      clientCredentials: { enabled: true },
      resourceIndicators: {
        enabled: true,
        defaultResource: () => Object.keys(AUDIENCES)[0],
        getResourceServerInfo: (ctx, resource, client) => {
          const c = clients.get(client.clientId);
          return {
            scope: '',
            audience: AUDIENCES[resource] ?? resource,
            accessTokenFormat: 'jwt',
            accessTokenTTL: c.ttl ?? 3600,
            jwt: { sign: { alg: c.alg ?? 'RS256' } },
          };
        },
      },
    },
    extraTokenClaims: (ctx, token) => ({ groups: clients.get(token.clientId)?.groups ?? [] }),
  });
}

for (const issuer of conf.issuers) {
  const provider = makeProvider(issuer);
  provider.on('server_error', (ctx, err) => console.error(err));
  createServer({ key: readFileSync(conf.key), cert: readFileSync(conf.cert) }, provider.callback())
    .listen(issuer.port, conf.address, () => console.log(`issuer ${issuer.url}`));
}
