#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/queue.h>

#include <event2/buffer.h>
#include <event2/keyvalq_struct.h>

#include "json.h"
#include "rest_priv.h"
#include "sl_counter.h"
#include "sl_log.h"

/* ---- replies ---- */

static const char *reason(int status)
{
	switch (status) {
	case 200:
		return "OK";
	case 201:
		return "Created";
	case 202:
		return "Accepted";
	case 204:
		return "No Content";
	case 400:
		return "Bad Request";
	case 401:
		return "Unauthorized";
	case 403:
		return "Forbidden";
	case 404:
		return "Not Found";
	case 405:
		return "Method Not Allowed";
	case 409:
		return "Conflict";
	case 413:
		return "Content Too Large";
	case 415:
		return "Unsupported Media Type";
	case 422:
		return "Unprocessable Content";
	case 503:
		return "Service Unavailable";
	default:
		return "Internal Server Error";
	}
}

static const char *method_name(const struct request *q)
{
	switch (evhttp_request_get_command(q->ev)) {
	case EVHTTP_REQ_POST:
		return "POST";
	case EVHTTP_REQ_PUT:
		return "PUT";
	case EVHTTP_REQ_DELETE:
		return "DELETE";
	default:
		return "GET";
	}
}

/* Who changed what, and whether it was done. Never a body. */
static void audit(const struct request *q, int status)
{
	char user[SL_BUS_NAME_MAX * 2], subject[SL_BUS_NAME_MAX * 2], issuer[SL_BUS_NAME_MAX * 3], path[256];

	if (q->route == NULL || q->route->method == EVHTTP_REQ_GET || q->who.subject[0] == '\0')
		return;
	sl_log(SL_LOG_INFO, "api", "%s \"%s\" by user=\"%s\" subject=\"%s\" issuer=\"%s\": %d",
	       method_name(q), sl_log_quote(sl_span_str(evhttp_request_get_uri(q->ev)), path, sizeof(path)),
	       sl_log_quote(sl_span_str(q->who.name), user, sizeof(user)),
	       sl_log_quote(sl_span_str(q->who.subject), subject, sizeof(subject)),
	       sl_log_quote(sl_span_str(q->who.issuer), issuer, sizeof(issuer)), status);
}

static void free_request(struct request *q)
{
	if (q->has_query)
		evhttp_clear_headers(&q->query);
	json_decref(q->json);
	free(q);
}

void mg_reply_bytes(struct request *q, int status, const char *type, struct sl_span body)
{
	struct evkeyvalq *h = evhttp_request_get_output_headers(q->ev);
	struct evbuffer *buf = NULL;

	audit(q, status);
	if (type != NULL)
		evhttp_add_header(h, "Content-Type", type);
	evhttp_add_header(h, "Cache-Control", "no-store");
	evhttp_add_header(h, "X-Content-Type-Options", "nosniff");
	/* Somebody waits for this one's place, which it has shown no right to keep. */
	if (q->who.subject[0] == '\0' && mg_rest_full(q->rest))
		evhttp_add_header(h, "Connection", "close");
	if (status == 401)
		evhttp_add_header(h, "WWW-Authenticate", "Bearer");
	if (body.n > 0 && evhttp_request_get_command(q->ev) != EVHTTP_REQ_HEAD) {
		buf = evbuffer_new();
		if (buf == NULL || evbuffer_add(buf, body.p, body.n) != 0)
			status = 500;
	}
	(void)mg_rest_busy(q->ev, false);
	evhttp_send_reply(q->ev, status, reason(status), buf);
	if (buf != NULL)
		evbuffer_free(buf);
	free_request(q);
}

void mg_reply_empty(struct request *q, int status)
{
	mg_reply_bytes(q, status, NULL, SL_SPAN_EMPTY);
}

static void reply_typed(struct request *q, int status, const char *type, json_t *body)
{
	char *text = body == NULL ? NULL : json_dumps(body, JSON_COMPACT);

	json_decref(body);
	if (text == NULL) {
		sl_fail(SL_E_NOMEM);
		mg_reply_empty(q, 500);
		return;
	}
	mg_reply_bytes(q, status, type, sl_span_str(text));
	sl_cleanse(text, strlen(text));
	free(text);
}

void mg_reply_json(struct request *q, int status, json_t *body)
{
	reply_typed(q, status, "application/json", body);
}

void mg_reply_problem(struct request *q, int status, const char *detail, json_t *extra)
{
	json_t *p = json_pack("{s:s,s:s,s:i,s:o}", "type", "about:blank", "title", reason(status), "status",
	                      status, "detail", mg_json_text(sl_span_str(detail)));

	if (p != NULL && extra != NULL)
		json_object_update_missing(p, extra);
	json_decref(extra);
	reply_typed(q, status, "application/problem+json", p);
}

void mg_reply_err(struct request *q, int err, const char *what)
{
	if (err == SL_E_NOTFOUND) {
		mg_reply_problem(q, 404, what, NULL);
		return;
	}
	sl_log(SL_LOG_ERROR, "api", "%s: %s", what, sl_err_text(err));
	mg_reply_problem(q, 503, sl_err_text(err), NULL);
}

/* ---- reading ---- */

const char *mg_query(const struct request *q, const char *name)
{
	return q->has_query ? evhttp_find_header(&q->query, name) : NULL;
}

int mg_query_uint(const struct request *q, const char *name, uint64_t def, uint64_t max, uint64_t *out)
{
	const char *s = mg_query(q, name);
	char *end = NULL;

	*out = def;
	if (s == NULL)
		return SL_OK;
	if (*s < '0' || *s > '9' || strlen(s) > 18)
		return SL_E_INVAL;
	*out = strtoull(s, &end, 10);
	return *end == '\0' && *out <= max ? SL_OK : SL_E_INVAL;
}

struct sl_span mg_body(const struct request *q)
{
	struct evbuffer *in = evhttp_request_get_input_buffer(q->ev);
	size_t n = evbuffer_get_length(in);

	return n == 0 ? SL_SPAN_EMPTY : sl_span(evbuffer_pullup(in, -1), n);
}

/* The header's value when it is there exactly once; *nb is how often. */
static const char *single_header(const struct request *q, const char *name, unsigned *nb)
{
	const struct evkeyvalq *headers = evhttp_request_get_input_headers(q->ev);
	const struct evkeyval *h;
	const char *value = NULL;

	*nb = 0;
	for (h = TAILQ_FIRST(headers); h != NULL; h = TAILQ_NEXT(h, next)) {
		if (strcasecmp(h->key, name) != 0)
			continue;
		value = h->value;
		++*nb;
	}
	return *nb == 1 ? value : NULL;
}

/* A media type without its parameters. */
static bool type_is(const char *value, const char *type)
{
	size_t n = strlen(type);

	return strncasecmp(value, type, n) == 0 && (value[n] == '\0' || value[n] == ';' || value[n] == ' ');
}

static bool is_yaml_type(const char *type)
{
	static const char *const types[] = {"application/yaml", "application/x-yaml", "text/yaml",
	                                    "text/x-yaml"};

	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		if (type_is(type, types[i]))
			return true;
	return false;
}

/* 0, or the status to refuse with. */
static int check_body(struct request *q)
{
	struct sl_span body = mg_body(q);
	enum body_kind kind = q->route->body;
	unsigned nb;
	const char *type = single_header(q, "Content-Type", &nb);

	if (kind == BODY_NONE || (kind == BODY_JSON_OPTIONAL && body.n == 0))
		return body.n == 0 ? 0 : 400;
	if (type == NULL)
		return 415;
	if (kind == BODY_YAML)
		return is_yaml_type(type) ? 0 : 415;
	if (!type_is(type, "application/json"))
		return 415;
	q->json = json_loadb((const char *)body.p, body.n, JSON_REJECT_DUPLICATES, NULL);
	return json_is_object(q->json) ? 0 : 400;
}

/* ---- routes ---- */

/* Matches a path against a template; the segment under "{}" goes to arg. */
static bool path_is(const char *path, const char *want, char *arg)
{
	size_t n;

	arg[0] = '\0';
	for (; *want != '\0'; want++) {
		if (*want != '{') {
			if (*path++ != *want)
				return false;
			continue;
		}
		n = strcspn(path, "/");
		if (n == 0 || n >= ARG_MAX_BYTES || memchr(path, '%', n) != NULL)
			return false;
		memcpy(arg, path, n);
		arg[n] = '\0';
		path += n;
		want++; /* '}' */
	}
	return *path == '\0';
}

/* The route, or NULL with the status: 404, or 405 when the path has other methods. */
static const struct route *find_route(struct request *q, int *status)
{
	const struct evhttp_uri *uri = evhttp_request_get_evhttp_uri(q->ev);
	const char *path = uri == NULL ? NULL : evhttp_uri_get_path(uri);

	*status = 404;
	for (size_t i = 0; i < mg_nb_routes && path != NULL; i++) {
		if (!path_is(path, mg_routes[i].path, q->arg))
			continue;
		*status = 405;
		if (mg_routes[i].method == evhttp_request_get_command(q->ev))
			return &mg_routes[i];
	}
	return NULL;
}

static void add_allow(struct request *q)
{
	const char *path = evhttp_uri_get_path(evhttp_request_get_evhttp_uri(q->ev));
	char allow[64] = "", arg[ARG_MAX_BYTES];
	size_t n = 0;

	for (size_t i = 0; i < mg_nb_routes; i++) {
		enum evhttp_cmd_type m = mg_routes[i].method;

		if (path_is(path, mg_routes[i].path, arg) && n < sizeof(allow) - 16)
			n += (size_t)snprintf(allow + n, sizeof(allow) - n, "%s%s", n == 0 ? "" : ", ",
			                      m == EVHTTP_REQ_GET    ? "GET"
			                      : m == EVHTTP_REQ_POST ? "POST"
			                      : m == EVHTTP_REQ_PUT  ? "PUT"
			                                             : "DELETE");
	}
	evhttp_add_header(evhttp_request_get_output_headers(q->ev), "Allow", allow);
}

/* ---- who is calling ---- */

static bool in_any(const struct sl_identity *who, const struct sl_strings *groups)
{
	for (uint32_t i = 0; i < groups->nb; i++)
		if (mg_identity_in(who, groups->v[i]))
			return true;
	return false;
}

/* An admin may do everything but approve. */
static uint32_t roles_of(const struct sl_identity *who, const struct sl_idp *idp)
{
	uint32_t roles = ROLE_CALLER;

	if (in_any(who, &idp->viewers))
		roles |= ROLE_VIEWER;
	if (in_any(who, &idp->operators))
		roles |= ROLE_VIEWER | ROLE_OPERATOR;
	if (in_any(who, &idp->approvers))
		roles |= ROLE_VIEWER | ROLE_APPROVER;
	if (in_any(who, &idp->admins))
		roles |= ROLE_VIEWER | ROLE_OPERATOR | ROLE_ADMIN;
	return roles;
}

static void handle(struct request *q)
{
	int status = check_body(q);

	if (status == 0)
		q->route->handle(q);
	else
		mg_reply_problem(q, status,
		                 status == 415 ? "this content type is not taken here"
		                               : "the body is malformed",
		                 NULL);
}

static void on_verified(void *ctx, int err, const struct sl_identity *who, const struct sl_idp *idp)
{
	struct request *q = ctx;

	if (err == SL_E_IDP_DOWN || err == SL_E_NOMEM || err == SL_E_LIMIT) {
		mg_reply_problem(q, 503, "the identity provider cannot be asked now", NULL);
		return;
	}
	if (err != SL_OK) {
		sl_count(SL_C_AUTH_FAILED);
		mg_reply_problem(q, 401, err == SL_E_JWT_EXPIRED ? "token expired" : "token not accepted",
		                 NULL);
		return;
	}
	q->who = *who;
	q->roles = roles_of(who, idp);
	if ((q->roles & q->route->roles) == 0)
		mg_reply_problem(q, 403, "your groups do not give you the role that this needs", NULL);
	else
		handle(q);
}

static void authenticate(struct request *q)
{
	unsigned nb;
	const char *value = single_header(q, "Authorization", &nb);

	if (value == NULL || strncasecmp(value, "Bearer ", 7) != 0) {
		mg_reply_problem(q, nb > 1 ? 400 : 401, "a bearer token is needed", NULL);
		return;
	}
	mg_oidc_verify(q->cfg->oidc, sl_span_str(value + 7), on_verified, q);
}

/* ---- the entry ---- */

/* libevent takes a name with a space behind it for another name. */
static bool names_ok(const struct request *q)
{
	const struct evkeyvalq *headers = evhttp_request_get_input_headers(q->ev);
	const struct evkeyval *h;

	for (h = TAILQ_FIRST(headers); h != NULL; h = TAILQ_NEXT(h, next)) {
		const char *s = h->key;

		while (*s > ' ' && *s <= '~')
			s++;
		if (*s != '\0' || s == h->key)
			return false;
	}
	return true;
}

/*
 * A body's length that everybody reads alike (RFC 9112, 6.3): what is the body to one and the next request to
 * another gets past a proxy before us. libevent takes a coding that it does not know for none, and a sign
 * before a length; it reads no body for methods but these three.
 */
static bool framing_ok(const struct request *q)
{
	enum evhttp_cmd_type m = evhttp_request_get_command(q->ev);
	unsigned nb_length, nb_coding;
	const char *length = single_header(q, "Content-Length", &nb_length);
	const char *coding = single_header(q, "Transfer-Encoding", &nb_coding);

	if (!names_ok(q) || nb_length > 1 || nb_coding > 1 || (nb_length > 0 && nb_coding > 0))
		return false;
	if (coding != NULL && strcasecmp(coding, "chunked") != 0)
		return false;
	if (length != NULL && (*length == '\0' || length[strspn(length, "0123456789")] != '\0'))
		return false;
	if (m == EVHTTP_REQ_POST || m == EVHTTP_REQ_PUT || m == EVHTTP_REQ_PATCH)
		return true;
	return nb_coding == 0 && (length == NULL || strcmp(length, "0") == 0);
}

static bool takes(const struct route *t, const char *name)
{
	size_t n = strlen(name), len;

	for (const char *s = t->query; *s != '\0'; s += len + (s[len] == ' ')) {
		len = strcspn(s, " ");
		if (len == n && memcmp(s, name, n) == 0)
			return true;
	}
	return false;
}

/* False: it is not understood whole (a name that the route does not have, or has had already), so that
 * leaving out the rest could turn it into another request. */
static bool read_query(struct request *q)
{
	const char *text = evhttp_uri_get_query(evhttp_request_get_evhttp_uri(q->ev));
	const struct evkeyval *p;

	if (text == NULL || *text == '\0')
		return true;
	q->has_query = evhttp_parse_query_str(text, &q->query) == 0;
	if (!q->has_query || strstr(text, "%00") != NULL)
		return false;
	for (p = TAILQ_FIRST(&q->query); p != NULL; p = TAILQ_NEXT(p, next))
		if (!takes(q->route, p->key) || mg_query(q, p->key) != p->value)
			return false;
	return true;
}

void mg_on_request(struct evhttp_request *ev, void *rest)
{
	struct request *q = calloc(1, sizeof(*q));
	int status;

	if (q == NULL || !mg_rest_busy(ev, true)) {
		free(q);
		evhttp_send_error(ev, 503, NULL);
		return;
	}
	q->ev = ev;
	q->rest = rest;
	q->cfg = mg_rest_config(rest);
	if (!framing_ok(q)) {
		evhttp_add_header(evhttp_request_get_output_headers(ev), "Connection", "close");
		mg_reply_problem(q, 400, "the message's length is not clear", NULL);
		return;
	}
	q->route = find_route(q, &status);
	if (q->route == NULL) {
		if (status == 405)
			add_allow(q);
		mg_reply_problem(q, status, status == 405 ? "not with this method" : "no such resource",
		                 NULL);
		return;
	}
	if (!read_query(q))
		mg_reply_problem(q, 400, "the query is malformed, or has what is not taken here", NULL);
	else if (q->route->roles == 0)
		handle(q);
	else
		authenticate(q);
}
