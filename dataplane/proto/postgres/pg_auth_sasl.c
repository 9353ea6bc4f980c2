/*
 * The login by a session credential: SCRAM-SHA-256, and SCRAM-SHA-256-PLUS where TLS has a binding
 * (PostgreSQL's protocol, "SASL Authentication"; RFC 5802, RFC 7677). The exchange's grammar is
 * drivers/scram's; the verifier is the management core's, which judges the proof: each of the client's two
 * messages raises an AUTH event.
 */
#include "pg_priv.h"
#include "sl_counter.h"
#include "sl_secret.h"

/* AuthenticationSASL, ...Continue, ...Final */
static int say(struct pg *d, uint8_t code, const void *body, size_t n)
{
	uint8_t b[PG_HEADER + 4 + SL_SCRAM_NONCE_MAX + 192] = {'R'};

	if (n > sizeof(b) - PG_HEADER - 4)
		return sl_fail(SL_E_SCRAM_MALFORMED);
	sl_put_be32(b + 1, (uint32_t)(8 + n));
	sl_put_be32(b + PG_HEADER, code);
	memcpy(b + PG_HEADER + 4, body, n);
	return pg_add(d, SL_CLIENT, b, PG_HEADER + 4 + n);
}

int pg_sasl_ask(struct pg *d)
{
	static const char both[] = SL_SCRAM_SHA256_PLUS "\0" SL_SCRAM_SHA256 "\0",
	                  one[] = SL_SCRAM_SHA256 "\0";
	struct pg_sasl *s = &d->start->sasl;

	s->binding_n = d->io.channel_binding(d->io.ctx, SL_CLIENT, s->binding);
	return s->binding_n > 0 ? say(d, 10, both, sizeof(both)) : say(d, 10, one, sizeof(one));
}

static int refuse(struct pg *d, int err)
{
	switch (err) {
	case SL_E_SCRAM_BINDING:
		return pg_fatal(d, SL_CLIENT, err, "28000", "SCRAM channel binding check failed");
	case SL_E_SCRAM_AUTHZID:
		return pg_fatal(d, SL_CLIENT, err, "28000",
		                "SCRAM authorization identities are not supported");
	default:
		return pg_fatal(d, SL_CLIENT, err, "08P01", "malformed SCRAM message");
	}
}

/* SASLInitialResponse: the mechanism, the length, the client-first-message. */
static int initial(struct pg *d, struct sl_span b, struct sl_verdict *v)
{
	struct pg_sasl *s = &d->start->sasl;
	struct sl_ev_auth auth = {.step = SL_AUTH_SALT};
	struct sl_span mechanism;
	uint32_t n;
	bool plus;
	int rc;

	if (pg_get_str(&b, &mechanism) < 0 || pg_get_32(&b, &n) < 0 || n != b.n)
		return pg_broken(d, "malformed SASL message");
	plus = s->binding_n > 0 && sl_span_is(mechanism, SL_SCRAM_SHA256_PLUS);
	if (!plus && !sl_span_is(mechanism, SL_SCRAM_SHA256))
		return pg_broken(d, "a SASL mechanism that was not offered");
	rc = sl_scram_server_open(&s->scram, sl_span(s->binding, s->binding_n), plus, b);
	return rc != SL_OK ? refuse(d, rc) : pg_auth_event(d, &auth, v);
}

/* SASLResponse: the client-final-message. */
static int response(struct pg *d, struct sl_span b, struct sl_verdict *v)
{
	struct sl_ev_auth auth = {.step = SL_AUTH_PROOF};
	uint8_t proof[SL_SCRAM_KEY];
	char message[SL_SCRAM_AUTH_MAX];
	long n = sl_scram_server_final(&d->start->sasl.scram, b, message, proof);
	int rc;

	if (n < 0)
		return refuse(d, (int)n);
	auth.token = sl_span(message, (size_t)n);
	auth.proof = sl_span(proof, sizeof(proof));
	rc = pg_auth_event(d, &auth, v);
	sl_cleanse(proof, sizeof(proof));
	return rc;
}

int pg_sasl_judge(struct pg *d, const struct pg_msg *m, struct sl_verdict *v)
{
	return d->start->sasl_asked ? response(d, m->body, v) : initial(d, m->body, v);
}

int pg_sasl_allowed(struct pg *d, const struct sl_verdict *v)
{
	struct pg_sasl *s = &d->start->sasl;
	char last[SL_SCRAM_SERVER_FINAL_MAX];
	int rc;

	if (v->auth == NULL)
		return sl_fail(SL_E_INVAL);
	if (d->start->sasl_asked)
		return say(d, 12, last, sl_scram_server_last(v->auth->signature, last));
	rc = sl_scram_server_first(&s->scram, v->auth->nonce, v->auth->salt, v->auth->iterations);
	return rc != SL_OK ? rc : say(d, 11, s->scram.first, s->scram.first_n);
}
