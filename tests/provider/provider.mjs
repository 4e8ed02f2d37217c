// A real OpenID provider (oidc-provider, certified by the OpenID Foundation) as Keycloak would be
// set up for the gateway. Takes any password; who is in which group says the configuration.
//
//     node tests/provider/provider.mjs CONFIGURATION.json
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

const said = JSON.parse(readFileSync(process.argv[2], "utf8"));
const { default: Provider } = await import(
  pathToFileURL(createRequire(said.installed + "/package.json").resolve("oidc-provider"))
);

const audience = "gateway-images";
const provider = new Provider(said.issuer, {
  jwks: said.jwks,
  clients: [
    {
      client_id: said.client_id,
      client_secret: said.client_secret,
      redirect_uris: [said.redirect_uri],
      response_types: ["code"],
      grant_types: ["authorization_code", "client_credentials"],
      backchannel_logout_uri: said.logout_uri,
      backchannel_logout_session_required: true,
    },
  ],
  // As a "group membership" mapper does: in ID tokens and in access tokens.
  conformIdTokenClaims: false,
  claims: { openid: ["sub", "groups"], profile: ["name"] },
  findAccount: (_, login) => ({
    accountId: login,
    claims: async () => ({ sub: login, name: `Имя ${login}`, groups: said.groups[login] ?? [] }),
  }),
  extraTokenClaims: async (_, token) => ({
    groups: said.groups[token.accountId ?? token.clientId] ?? [],
  }),
  pkce: { methods: ["S256"], required: () => true },
  ttl: { IdToken: 600, AccessToken: 600, ClientCredentials: 600 },
  features: {
    backchannelLogout: { enabled: true },
    clientCredentials: { enabled: true },
    resourceIndicators: {
      enabled: true,
      defaultResource: () => `urn:${audience}`,
      useGrantedResource: () => true,
      getResourceServerInfo: () => ({
        scope: "", audience, accessTokenFormat: "jwt", jwt: { sign: { alg: said.algorithm } },
      }),
    },
  },
});
provider.listen(said.port, "127.0.0.1", () => console.log("ready"));
