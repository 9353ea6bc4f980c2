#include "oidc.h"

#include <stdlib.h>

#include "clock.h"
#include "sl_counter.h"
#include "sl_log.h"

struct waiter {
	struct waiter *next;
	struct mg_jwt jwt;
	mg_oidc_fn fn;
	void *ctx;
};

struct provider {
	struct provider *next;
	struct mg_oidc *o;
	char *issuer, *discovery_url, *ca_pem; /* ca_pem NULL: the system's roots */
	const struct sl_idp *idp;              /* in the current snapshot */
	SSL_CTX *tls;
	struct mg_fetch *fetch; /* under way */
	bool fetched, tried;
	uint64_t fetched_us, tried_us;
	struct mg_jwks *keys;
	struct waiter *waiters, **waiters_tail;
};

struct mg_oidc {
	struct event_base *base;
	struct evdns_base *dns;
	struct mg_oidc_clock clock;
	struct provider *providers;
	uint32_t nb_waiters;
	uint64_t nb_fetches;
};

static uint64_t system_mono(void *ctx)
{
	return mg_mono_us();
}

static uint64_t system_wall(void *ctx)
{
	return mg_wall_us();
}

/* ---- judging ---- */

/* Calls back with the result for a token whose provider has keys that may be used. */
static void judge(struct provider *p, const struct mg_jwt *jwt, mg_oidc_fn fn, void *ctx)
{
	struct sl_identity who;
	int err = mg_jwt_verify(jwt, p->keys, p->idp);

	if (err == SL_OK)
		err = mg_jwt_identity(jwt, p->idp, p->o->clock.wall(p->o->clock.ctx), &who);
	fn(ctx, err, err == SL_OK ? &who : NULL, err == SL_OK ? p->idp : NULL);
}

static bool keys_usable(const struct provider *p, uint64_t now)
{
	return p->keys != NULL && now - p->fetched_us < MG_JWKS_STALE_US;
}

/* A fetch has ended: everybody who waited is judged by what there is now, and nobody waits a second time. */
static void answer_waiters(struct provider *p)
{
	struct waiter *list = p->waiters, *w;
	bool usable = keys_usable(p, p->o->clock.mono(p->o->clock.ctx));

	p->waiters = NULL;
	p->waiters_tail = &p->waiters;
	while ((w = list) != NULL) {
		list = w->next;
		p->o->nb_waiters--;
		if (usable)
			judge(p, &w->jwt, w->fn, w->ctx);
		else
			w->fn(w->ctx, sl_fail(SL_E_IDP_DOWN), NULL, NULL);
		mg_jwt_free(&w->jwt);
		free(w);
	}
}

/* ---- fetching ---- */

static void fetch_failed(struct provider *p, const char *what)
{
	char issuer[SL_BUS_NAME_MAX * 2];

	sl_log(SL_LOG_WARN, "oidc", "provider \"%s\": %s",
	       sl_log_quote(sl_span_str(p->issuer), issuer, sizeof(issuer)), what);
	answer_waiters(p);
}

static void on_jwks(void *ctx, int err, struct sl_span body)
{
	struct provider *p = ctx;
	struct mg_jwks *keys = NULL;

	p->fetch = NULL;
	if (err != SL_OK) {
		fetch_failed(p, "its keys could not be fetched");
		return;
	}
	if (mg_jwks_parse(body, &keys) != SL_OK) {
		fetch_failed(p, "its key set is malformed or has no usable key");
		return;
	}
	mg_jwks_free(p->keys);
	p->keys = keys;
	p->fetched_us = p->o->clock.mono(p->o->clock.ctx);
	answer_waiters(p);
}

/* OpenID Connect Discovery 1.0 section 4.3: the document's issuer must be the one we were told. */
static void on_discovery(void *ctx, int err, struct sl_span body)
{
	struct provider *p = ctx;
	json_t *doc =
	        err != SL_OK ? NULL : json_loadb((const char *)body.p, body.n, JSON_REJECT_DUPLICATES, NULL);
	const char *issuer = json_string_value(json_object_get(doc, "issuer"));
	const char *uri = json_string_value(json_object_get(doc, "jwks_uri"));
	const char *problem = NULL;

	p->fetch = NULL;
	if (doc == NULL)
		problem = "discovery failed";
	else if (issuer == NULL || strcmp(issuer, p->issuer) != 0)
		problem = "the discovery document names another issuer";
	else if (uri == NULL ||
	         mg_fetch_start(p->o->base, p->o->dns, p->tls, uri, on_jwks, p, &p->fetch) != SL_OK)
		problem = "the discovery document has no usable jwks_uri";
	json_decref(doc);
	if (problem != NULL)
		fetch_failed(p, problem);
}

static int start_fetch(struct provider *p)
{
	p->tried = true;
	p->tried_us = p->o->clock.mono(p->o->clock.ctx);
	p->o->nb_fetches++;
	return mg_fetch_start(p->o->base, p->o->dns, p->tls, p->discovery_url, on_discovery, p, &p->fetch);
}

/* ---- providers of the policy ---- */

static void free_provider(struct provider *p)
{
	mg_fetch_cancel(p->fetch);
	mg_jwks_free(p->keys);
	p->keys = NULL;
	answer_waiters(p);
	SSL_CTX_free(p->tls);
	free(p->issuer);
	free(p->discovery_url);
	free(p->ca_pem);
	free(p);
}

static bool same_str(const char *a, const char *b)
{
	return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

static char *discovery_url(const struct sl_idp *idp)
{
	static const char tail[] = "/.well-known/openid-configuration";
	size_t n = strlen(idp->issuer);
	char *url;

	if (idp->discovery_url != NULL)
		return strdup(idp->discovery_url);
	while (n > 0 && idp->issuer[n - 1] == '/')
		n--;
	url = malloc(n + sizeof(tail));
	if (url != NULL) {
		memcpy(url, idp->issuer, n);
		memcpy(url + n, tail, sizeof(tail));
	}
	return url;
}

static struct provider *new_provider(struct mg_oidc *o, const struct sl_idp *idp)
{
	struct provider *p = calloc(1, sizeof(*p));

	if (p == NULL)
		return NULL;
	p->o = o;
	p->waiters_tail = &p->waiters;
	p->issuer = strdup(idp->issuer);
	p->discovery_url = discovery_url(idp);
	p->ca_pem = idp->ca_pem == NULL ? NULL : strdup(idp->ca_pem);
	p->tls = mg_fetch_tls(idp->ca_pem);
	if (p->issuer == NULL || p->discovery_url == NULL || p->tls == NULL ||
	    (idp->ca_pem != NULL && p->ca_pem == NULL)) {
		free_provider(p);
		return NULL;
	}
	return p;
}

/* Takes the provider of the same description out of the list, so that its keys and its waiters live on. */
static struct provider *take_same(struct provider **list, const struct sl_idp *idp)
{
	char *url = discovery_url(idp);
	struct provider *p = NULL;

	for (; *list != NULL && url != NULL; list = &(*list)->next) {
		p = *list;
		if (strcmp(p->issuer, idp->issuer) == 0 && strcmp(p->discovery_url, url) == 0 &&
		    same_str(p->ca_pem, idp->ca_pem)) {
			*list = p->next;
			break;
		}
		p = NULL;
	}
	free(url);
	return p;
}

static struct provider *find_provider(struct provider *list, const char *issuer)
{
	for (; list != NULL; list = list->next)
		if (strcmp(list->issuer, issuer) == 0)
			return list;
	return NULL;
}

int mg_oidc_policy(struct mg_oidc *o, const struct sl_snapshot *snap)
{
	struct provider *old = o->providers, *p, **tail = &o->providers;
	int err = SL_OK;

	o->providers = NULL;
	for (uint32_t i = 0; i < snap->nb_idps; i++) {
		if (find_provider(o->providers, snap->idps[i].issuer) != NULL) {
			sl_log(SL_LOG_WARN, "oidc",
			       "identity provider \"%s\" has the issuer of an earlier one: not used",
			       snap->idps[i].name);
			continue;
		}
		p = take_same(&old, &snap->idps[i]);
		if (p == NULL)
			p = new_provider(o, &snap->idps[i]);
		if (p == NULL) {
			/* Its tokens are refused until a policy with roots that can be read comes. */
			sl_log(SL_LOG_ERROR, "oidc",
			       "identity provider \"%s\" cannot be used: CA certificates or memory",
			       snap->idps[i].name);
			err = SL_E_TLS_CONFIG;
			continue;
		}
		p->idp = &snap->idps[i];
		p->next = NULL;
		*tail = p;
		tail = &p->next;
	}
	while ((p = old) != NULL) {
		old = p->next;
		free_provider(p);
	}
	for (p = o->providers; p != NULL; p = p->next)
		if (p->keys == NULL && p->fetch == NULL && start_fetch(p) != SL_OK)
			fetch_failed(p, "its discovery URL cannot be used");
	return err == SL_OK ? SL_OK : sl_fail(err);
}

/* ---- verify ---- */

enum step {
	STEP_JUDGE,
	STEP_FETCH,
	STEP_WAIT,
	STEP_DOWN,
};

/* What to do with a token now. Fetches are counted from their start, so that a slow provider is not asked
 * more often. */
static enum step next_step(const struct provider *p, const struct mg_jwt *jwt, uint64_t now)
{
	uint64_t since = p->tried ? now - p->tried_us : UINT64_MAX;
	bool known;

	if (!keys_usable(p, now)) {
		if (p->fetch != NULL)
			return STEP_WAIT;
		return since >= MG_JWKS_RETRY_US ? STEP_FETCH : STEP_DOWN;
	}
	known = mg_jwks_find(p->keys, jwt->kid, jwt->alg) != NULL;
	if (known && now - p->fetched_us < MG_JWKS_TTL_US)
		return STEP_JUDGE;
	if (p->fetch != NULL)
		return STEP_WAIT;
	return since >= MG_JWKS_REFRESH_US ? STEP_FETCH : STEP_JUDGE;
}

/* Takes over the parsed token. */
static int wait_for_keys(struct provider *p, struct mg_jwt *jwt, mg_oidc_fn fn, void *ctx)
{
	struct waiter *w;

	if (p->o->nb_waiters >= MG_OIDC_WAITERS_MAX)
		return SL_E_LIMIT;
	w = calloc(1, sizeof(*w));
	if (w == NULL)
		return SL_E_NOMEM;
	w->jwt = *jwt;
	w->fn = fn;
	w->ctx = ctx;
	memset(jwt, 0, sizeof(*jwt));
	*p->waiters_tail = w;
	p->waiters_tail = &w->next;
	p->o->nb_waiters++;
	return SL_OK;
}

static void verify_parsed(struct mg_oidc *o, struct mg_jwt *jwt, mg_oidc_fn fn, void *ctx)
{
	struct provider *p = find_provider(o->providers, jwt->iss);
	uint64_t now = o->clock.mono(o->clock.ctx);
	enum step step;
	int err;

	if (p == NULL) {
		fn(ctx, sl_fail(SL_E_JWT_ISSUER), NULL, NULL);
		return;
	}
	step = next_step(p, jwt, now);
	if (step == STEP_FETCH) /* when it cannot even start, what we have must do */
		step = start_fetch(p) == SL_OK ? STEP_WAIT : keys_usable(p, now) ? STEP_JUDGE : STEP_DOWN;
	if (step == STEP_JUDGE) {
		judge(p, jwt, fn, ctx);
		return;
	}
	err = step == STEP_DOWN ? SL_E_IDP_DOWN : wait_for_keys(p, jwt, fn, ctx);
	if (err != SL_OK)
		fn(ctx, sl_fail(err), NULL, NULL);
}

void mg_oidc_verify(struct mg_oidc *o, struct sl_span token, mg_oidc_fn fn, void *ctx)
{
	struct mg_jwt jwt;
	int err = mg_jwt_parse(token, &jwt);

	if (err != SL_OK)
		fn(ctx, err, NULL, NULL);
	else
		verify_parsed(o, &jwt, fn, ctx);
	mg_jwt_free(&jwt);
}

/* ---- life ---- */

/* The system's resolver configuration; without one only addresses can be reached, which is no reason not to
 * start. */
static struct evdns_base *new_dns(struct event_base *base)
{
	struct evdns_base *dns = evdns_base_new(base, EVDNS_BASE_DISABLE_WHEN_INACTIVE);

	if (dns != NULL && evdns_base_resolv_conf_parse(dns, DNS_OPTIONS_ALL, "/etc/resolv.conf") != 0)
		sl_log(SL_LOG_WARN, "oidc",
		       "no name server in /etc/resolv.conf: providers are reached by address only");
	return dns;
}

int mg_oidc_new(struct event_base *base, const struct mg_oidc_clock *clock, struct mg_oidc **out)
{
	struct mg_oidc *o = calloc(1, sizeof(*o));

	*out = NULL;
	if (o == NULL)
		return sl_fail(SL_E_NOMEM);
	o->base = base;
	o->clock = clock != NULL ? *clock : (struct mg_oidc_clock){system_mono, system_wall, NULL};
	o->dns = new_dns(base);
	if (o->dns == NULL) {
		free(o);
		return sl_fail(SL_E_NOMEM);
	}
	*out = o;
	return SL_OK;
}

void mg_oidc_free(struct mg_oidc *o)
{
	struct provider *p;

	if (o == NULL)
		return;
	while ((p = o->providers) != NULL) {
		o->providers = p->next;
		free_provider(p);
	}
	evdns_base_free(o->dns, 1);
	free(o);
}

uint32_t mg_oidc_nb_down(const struct mg_oidc *o)
{
	uint64_t now = o->clock.mono(o->clock.ctx);
	uint32_t nb = 0;

	for (const struct provider *p = o->providers; p != NULL; p = p->next)
		nb += !keys_usable(p, now);
	return nb;
}

uint64_t mg_oidc_nb_fetches(const struct mg_oidc *o)
{
	return o->nb_fetches;
}
