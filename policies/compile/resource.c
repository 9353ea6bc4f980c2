/* Where to go and whom to believe: Resource and IdentityProvider. */
#include <stdlib.h>
#include <string.h>

#include "compile_priv.h"
#include "sl_secret.h"

static const char *const protocols[] = {"postgres", NULL};
static const char *const tls_modes[] = {"require", "off", NULL};
static const char *const tls_verifies[] = {"full", "ca", "none", NULL};
static const char *const algorithms[] = {"RS256", "ES256", "EdDSA", NULL};
static const char *const alpns[] = {"postgresql"}; /* of the protocols */
static const char *const tls_negotiations[] = {"request", "direct", NULL};
static const char *const tls_bindings[] = {"prefer", "require", "off", NULL};
static const char *const versions[] = {"3.0", "3.2", NULL};
static const uint16_t minors[] = {0, 2};
static const char *const tls_keys[] = {"mode",    "verify",      "caFile",         "serverName", "certFile",
                                       "keyFile", "negotiation", "channelBinding", NULL};
static const char *const resource_keys[] = {
        "protocol", "protocolVersion", "address", "credential", "databases", "tls", "labels", NULL};
static const char *const idp_keys[] = {
        "issuer", "audience", "discoveryUrl", "caFile", "groupsClaim", "nameClaim", "algorithms",
        "leeway", "insecure", "api",          "caller", "claims",      NULL};
static const char *const api_keys[] = {"viewer", "operator", "approver", "admin", NULL};

static bool is_pem(const char *text, const char *what)
{
	const char *begin = strstr(text, "-----BEGIN ");

	return begin != NULL && strstr(begin, what) != NULL;
}

/* Reads a PEM file; what it holds is never in the error. */
static int pem_file(struct compiler *c, const struct sl_yaml_node *map, const char *key, const char *what,
                    char **out)
{
	int rc = cp_file(c, map, key, out);

	if (rc != SL_OK || *out == NULL || is_pem(*out, what))
		return rc;
	sl_cleanse(*out, strlen(*out));
	free(*out);
	*out = NULL;
	return cp_fail(c, SL_E_POLICY_SYNTAX, sl_yaml_get(map, key), NULL, "\"%s\": no PEM %s in the file",
	               key, what);
}

static void free_pem(char *pem)
{
	if (pem != NULL)
		sl_cleanse(pem, strlen(pem));
	free(pem);
}

struct tls_texts {
	char *ca, *cert, *key;
};

static int make_context(struct compiler *c, const struct sl_yaml_node *at, const struct tls_texts *t,
                        enum sl_tls_verify verify, const char *server_name, const char *alpn,
                        struct sl_resource *out)
{
	struct sl_tls_client_cfg cfg = {
	        .verify = verify,
	        .ca_pem = t->ca,
	        .server_name = server_name,
	        .cert_pem = t->cert,
	        .key_pem = t->key,
	        .alpn = alpn,
	};
	char why[256] = "";

	if ((t->cert == NULL) != (t->key == NULL))
		return cp_fail(c, SL_E_POLICY_SYNTAX, at, NULL, "\"certFile\" and \"keyFile\" go together");
	if (sl_tls_client_new(&cfg, &out->tls, why, sizeof(why)) != SL_OK) {
		out->tls = NULL;
		return cp_fail(c, SL_E_POLICY_SYNTAX, at, NULL, "tls cannot be set up: %s", why);
	}
	return SL_OK;
}

/* How the login goes on once there is TLS. */
static int tls_login(struct compiler *c, const struct sl_yaml_node *tls, struct sl_resource *out)
{
	uint32_t direct = 0, binding = SL_TARGET_BINDING_PREFER;
	int rc = cp_word(c, tls, "negotiation", CP_OPTIONAL, tls_negotiations, &direct);

	if (rc == SL_OK)
		rc = cp_word(c, tls, "channelBinding", CP_OPTIONAL, tls_bindings, &binding);
	out->tls_direct = direct != 0;
	out->binding = (enum sl_target_binding)binding;
	return rc;
}

static int tls_require(struct compiler *c, const struct sl_yaml_node *spec, const struct sl_yaml_node *tls,
                       const char *alpn, struct sl_resource *out)
{
	struct tls_texts t = {NULL, NULL, NULL};
	char address[SL_ADDR_STR_MAX];
	const char *server_name = sl_addr_str(&out->address.addr, address);
	uint32_t verify = SL_TLS_VERIFY_FULL;
	int rc = SL_OK;

	if (tls != NULL) {
		rc = cp_word(c, tls, "verify", CP_OPTIONAL, tls_verifies, &verify);
		if (rc == SL_OK)
			rc = cp_text(c, tls, "serverName", CP_OPTIONAL, 253, &server_name);
		if (rc == SL_OK)
			rc = pem_file(c, tls, "caFile", "CERTIFICATE", &t.ca);
		if (rc == SL_OK)
			rc = pem_file(c, tls, "certFile", "CERTIFICATE", &t.cert);
		if (rc == SL_OK)
			rc = pem_file(c, tls, "keyFile", "PRIVATE KEY", &t.key);
		if (rc == SL_OK)
			rc = tls_login(c, tls, out);
	}
	if (rc == SL_OK)
		rc = make_context(c, tls != NULL ? tls : spec, &t, (enum sl_tls_verify)verify, server_name,
		                  alpn, out);
	free_pem(t.ca);
	free_pem(t.cert);
	free_pem(t.key);
	return rc;
}

static int target_tls(struct compiler *c, const struct sl_yaml_node *spec, const char *alpn,
                      struct sl_resource *out)
{
	const struct sl_yaml_node *tls = sl_yaml_get(spec, "tls");
	uint32_t mode = SL_TARGET_TLS_REQUIRE;
	int rc;

	if (tls != NULL) {
		rc = cp_map(c, tls, "tls", tls_keys);
		if (rc == SL_OK)
			rc = cp_word(c, tls, "mode", CP_OPTIONAL, tls_modes, &mode);
		if (rc != SL_OK)
			return rc;
	}
	out->tls_mode = (enum sl_target_tls)mode;
	if (out->tls_mode == SL_TARGET_TLS_REQUIRE)
		return tls_require(c, spec, tls, alpn, out);
	for (const struct sl_yaml_node *m = tls->first; m != NULL; m = m->next) {
		if (strcmp(m->key, "mode") != 0)
			return cp_fail(c, SL_E_POLICY_SYNTAX, m, NULL, "\"%s\" means nothing with mode: off",
			               m->key);
	}
	return SL_OK;
}

int cp_resource(struct compiler *c, const struct cp_doc *d, struct sl_resource *out)
{
	const char *address = NULL;
	uint32_t protocol = 0, version = 0;
	int rc = cp_map(c, d->spec, "spec", resource_keys);

	out->name = d->name;
	if (rc == SL_OK)
		rc = cp_word(c, d->spec, "protocol", CP_REQUIRED, protocols, &protocol);
	if (rc == SL_OK)
		rc = cp_word(c, d->spec, "protocolVersion", CP_OPTIONAL, versions, &version);
	if (rc == SL_OK)
		rc = cp_text(c, d->spec, "address", CP_REQUIRED, SL_ENDPOINT_STR_MAX, &address);
	if (rc == SL_OK)
		rc = cp_text(c, d->spec, "credential", CP_REQUIRED, CP_NAME_MAX, &out->credential);
	if (rc == SL_OK)
		rc = cp_check_name(c, sl_yaml_get(d->spec, "credential"));
	if (rc == SL_OK)
		rc = cp_list(c, d->spec, "databases", CP_OPTIONAL, NULL, &out->databases);
	if (rc == SL_OK)
		rc = cp_labels(c, d->spec, out);
	if (rc != SL_OK)
		return rc;
	out->protocol = protocols[protocol];
	out->minor = minors[version];
	if (sl_endpoint_parse(address, &out->address) != SL_OK)
		return cp_fail(c, SL_E_POLICY_SYNTAX, sl_yaml_get(d->spec, "address"),
		               "names are not looked up: write the IP address",
		               "\"address\" must be ADDRESS:PORT or [ADDRESS]:PORT");
	return target_tls(c, d->spec, alpns[protocol], out);
}

/* https, or http where the document says in clear words that it may be. */
static int check_url(struct compiler *c, const struct sl_yaml_node *spec, const char *key, bool insecure)
{
	const struct sl_yaml_node *n = sl_yaml_get(spec, key);
	const char *rest;

	if (n == NULL)
		return SL_OK;
	if (strncmp(n->scalar, "https://", 8) == 0)
		rest = n->scalar + 8;
	else if (insecure && strncmp(n->scalar, "http://", 7) == 0)
		rest = n->scalar + 7;
	else
		return cp_fail(c, SL_E_POLICY_SYNTAX, n, "http:// is taken only with insecure: true",
		               "\"%s\" must begin with https://", key);
	if (rest[0] == '\0' || rest[0] == '/' || strpbrk(rest, " \"<>\\^`{|}@#") != NULL)
		return cp_fail(c, SL_E_POLICY_SYNTAX, n, NULL, "\"%s\" is not a URL of a host and a path",
		               key);
	return SL_OK;
}

static int check_algorithm(struct compiler *c, const struct sl_yaml_node *item)
{
	for (const char *const *a = algorithms; *a != NULL; a++) {
		if (strcmp(item->scalar, *a) == 0)
			return SL_OK;
	}
	return cp_fail(c, SL_E_POLICY_SYNTAX, item, NULL, "an algorithm must be one of RS256, ES256, EdDSA");
}

static int idp_urls(struct compiler *c, const struct sl_yaml_node *spec, struct sl_idp *out)
{
	static const char well_known[] = "/.well-known/openid-configuration";
	bool insecure = false;
	char *url;
	size_t n;
	int rc = cp_bool(c, spec, "insecure", &insecure);

	if (rc == SL_OK)
		rc = cp_text(c, spec, "issuer", CP_REQUIRED, CP_TEXT_MAX, &out->issuer);
	if (rc == SL_OK)
		rc = check_url(c, spec, "issuer", insecure);
	if (rc == SL_OK)
		rc = cp_text(c, spec, "discoveryUrl", CP_OPTIONAL, CP_TEXT_MAX, &out->discovery_url);
	if (rc == SL_OK && out->discovery_url != NULL)
		rc = check_url(c, spec, "discoveryUrl", insecure);
	if (rc != SL_OK || out->discovery_url != NULL)
		return rc;
	n = strlen(out->issuer);
	while (n > 0 && out->issuer[n - 1] == '/') /* OpenID Connect Discovery 1.0, 4.1 */
		n--;
	url = cp_take(c->arena, n + sizeof(well_known));
	if (url == NULL)
		return cp_fail(c, SL_E_NOMEM, spec, NULL, "out of memory");
	memcpy(url, out->issuer, n);
	memcpy(url + n, well_known, sizeof(well_known));
	out->discovery_url = url;
	return SL_OK;
}

static int idp_api(struct compiler *c, const struct sl_yaml_node *spec, struct sl_idp *out)
{
	const struct sl_yaml_node *api = sl_yaml_get(spec, "api");
	int rc;

	if (api == NULL)
		return SL_OK;
	rc = cp_map(c, api, "api", api_keys);
	if (rc == SL_OK)
		rc = cp_list(c, api, "viewer", CP_OPTIONAL, NULL, &out->viewers);
	if (rc == SL_OK)
		rc = cp_list(c, api, "operator", CP_OPTIONAL, NULL, &out->operators);
	if (rc == SL_OK)
		rc = cp_list(c, api, "approver", CP_OPTIONAL, NULL, &out->approvers);
	if (rc == SL_OK)
		rc = cp_list(c, api, "admin", CP_OPTIONAL, NULL, &out->admins);
	return rc;
}

static int idp_ca(struct compiler *c, const struct sl_yaml_node *spec, struct sl_idp *out)
{
	char *pem = NULL;
	int rc = pem_file(c, spec, "caFile", "CERTIFICATE", &pem);

	if (rc != SL_OK || pem == NULL)
		return rc;
	out->ca_pem = cp_copy(c->arena, pem, strlen(pem));
	free_pem(pem);
	return out->ca_pem != NULL ? SL_OK : cp_fail(c, SL_E_NOMEM, spec, NULL, "out of memory");
}

/* What the claims are kept as is "name=value". */
static int check_claim(struct compiler *c, const struct sl_yaml_node *item)
{
	if (strchr(item->scalar, '=') != NULL)
		return cp_fail(c, SL_E_POLICY_SYNTAX, item, NULL, "a claim's name holds no \"=\"");
	return SL_OK;
}

int cp_idp(struct compiler *c, const struct cp_doc *d, struct sl_idp *out)
{
	static const char *all_algorithms[] = {"RS256", "ES256", "EdDSA"};
	const struct sl_yaml_node *spec = d->spec;
	uint32_t caller = SL_CALLER_PERSON;
	int rc = cp_map(c, spec, "spec", idp_keys);

	out->name = d->name;
	out->groups_claim = "groups";
	out->name_claim = "preferred_username";
	out->algorithms = (struct sl_strings){all_algorithms, 3};
	out->leeway_s = CP_LEEWAY_DEFAULT_S;
	if (rc == SL_OK)
		rc = idp_urls(c, spec, out);
	if (rc == SL_OK)
		rc = cp_text(c, spec, "audience", CP_REQUIRED, CP_TEXT_MAX, &out->audience);
	if (rc == SL_OK)
		rc = cp_text(c, spec, "groupsClaim", CP_OPTIONAL, CP_NAME_MAX, &out->groups_claim);
	if (rc == SL_OK)
		rc = cp_text(c, spec, "nameClaim", CP_OPTIONAL, CP_NAME_MAX, &out->name_claim);
	if (rc == SL_OK && sl_yaml_get(spec, "algorithms") != NULL) {
		out->algorithms.nb = 0;
		rc = cp_list(c, spec, "algorithms", CP_OPTIONAL, check_algorithm, &out->algorithms);
	}
	if (rc == SL_OK)
		rc = cp_duration(c, spec, "leeway", 0, CP_LEEWAY_MAX_S, &out->leeway_s);
	if (rc == SL_OK)
		rc = idp_ca(c, spec, out);
	if (rc == SL_OK)
		rc = idp_api(c, spec, out);
	if (rc == SL_OK)
		rc = cp_word(c, spec, "caller", CP_OPTIONAL, cp_callers, &caller);
	out->caller = (enum sl_caller_kind)caller;
	if (rc == SL_OK)
		rc = cp_list(c, spec, "claims", CP_OPTIONAL, check_claim, &out->claims);
	return rc;
}
