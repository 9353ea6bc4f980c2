#include "jwt.h"

#include <stdlib.h>
#include <strings.h>

#include <openssl/ecdsa.h>
#include <openssl/err.h>

#include "sl_counter.h"

#define ES256_SIG_BYTES 64
#define ES256_DER_MAX   80 /* two INTEGERs of at most 33 bytes in a SEQUENCE */
#define AUDIENCES_MAX   64
#define DATE_MAX        253402300799.0 /* the end of year 9999: beyond it a date is a mistake */

/* ---- parse ---- */

/* Decodes one part into a JSON object; NULL when it is none. */
static json_t *decode_object(struct sl_span part)
{
	uint8_t *buf = malloc(part.n + 1);
	json_t *v = NULL;
	long n;

	if (buf == NULL)
		return NULL;
	n = mg_b64url_decode(part, buf, part.n);
	if (n > 0)
		v = json_loadb((const char *)buf, (size_t)n, JSON_REJECT_DUPLICATES, NULL);
	sl_cleanse(buf, part.n);
	free(buf);
	if (v != NULL && !json_is_object(v)) {
		json_decref(v);
		return NULL;
	}
	return v;
}

/* An ID token or access token of any provider says JWT, at+jwt or nothing. Other types (logout+jwt, dpop+jwt
 * ...) mean another use. */
static bool typ_ok(const json_t *typ)
{
	const char *s = json_string_value(typ);

	if (typ == NULL)
		return true;
	if (s == NULL)
		return false;
	if (strncasecmp(s, "application/", 12) == 0)
		s += 12;
	return strcasecmp(s, "JWT") == 0 || strcasecmp(s, "at+jwt") == 0;
}

static int check_header(struct mg_jwt *jwt)
{
	/* Keys by value or by place come from whoever wrote the token; extensions we do not know must not be
	 * skipped. */
	static const char *const refused[] = {"crit", "jku", "jwk", "x5u", "x5c", "b64", "enc", "zip"};
	const json_t *alg = json_object_get(jwt->header, "alg"), *kid = json_object_get(jwt->header, "kid");

	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++)
		if (json_object_get(jwt->header, refused[i]) != NULL)
			return sl_fail(SL_E_JWT_MALFORMED);
	if (!json_is_string(alg) || !typ_ok(json_object_get(jwt->header, "typ")))
		return sl_fail(SL_E_JWT_MALFORMED);
	jwt->alg = mg_alg_parse(json_string_value(alg));
	if (jwt->alg == MG_ALG_NONE)
		return sl_fail(SL_E_JWT_ALG);
	if (kid != NULL) {
		if (!json_is_string(kid) || json_string_length(kid) == 0 ||
		    json_string_length(kid) >= MG_KID_MAX)
			return sl_fail(SL_E_JWT_MALFORMED);
		jwt->kid = json_string_value(kid);
	}
	return SL_OK;
}

/* Finds the three parts: exactly two dots, none of the parts empty. */
static int split(struct sl_span t, struct sl_span part[3])
{
	size_t from = 0;

	for (int i = 0; i < 3; i++) {
		const uint8_t *dot = from < t.n ? memchr(t.p + from, '.', t.n - from) : NULL;
		size_t end = dot == NULL ? t.n : (size_t)(dot - t.p);

		if ((dot == NULL) != (i == 2) || end == from)
			return SL_E_JWT_MALFORMED;
		part[i] = sl_span(t.p + from, end - from);
		from = end + 1;
	}
	return SL_OK;
}

int mg_jwt_parse(struct sl_span token, struct mg_jwt *out)
{
	struct sl_span part[3];
	const json_t *iss;
	long n;

	memset(out, 0, sizeof(*out));
	if (token.n == 0 || token.n > SL_BUS_TOKEN_MAX)
		return sl_fail(SL_E_JWT_MALFORMED);
	out->text = malloc(token.n);
	if (out->text == NULL)
		return sl_fail(SL_E_NOMEM);
	memcpy(out->text, token.p, token.n);
	out->text_n = token.n;
	if (split(sl_span(out->text, out->text_n), part) != SL_OK)
		return sl_fail(SL_E_JWT_MALFORMED);
	out->signed_n = part[0].n + 1 + part[1].n;
	n = mg_b64url_decode(part[2], out->sig, sizeof(out->sig));
	out->header = decode_object(part[0]);
	out->claims = decode_object(part[1]);
	if (n <= 0 || out->header == NULL || out->claims == NULL)
		return sl_fail(SL_E_JWT_MALFORMED);
	out->sig_n = (size_t)n;
	iss = json_object_get(out->claims, "iss");
	if (!json_is_string(iss))
		return sl_fail(SL_E_JWT_CLAIMS);
	out->iss = json_string_value(iss);
	return check_header(out);
}

void mg_jwt_free(struct mg_jwt *jwt)
{
	if (jwt->text != NULL)
		sl_cleanse(jwt->text, jwt->text_n);
	free(jwt->text);
	json_decref(jwt->header);
	json_decref(jwt->claims);
	sl_cleanse(jwt, sizeof(*jwt));
}

/* ---- verify ---- */

/* RFC 7518 section 3.4: r and s of 32 bytes each; OpenSSL takes the ASN.1 form. */
static int es256_der(const struct mg_jwt *jwt, uint8_t *der)
{
	ECDSA_SIG *sig = ECDSA_SIG_new();
	BIGNUM *r = BN_bin2bn(jwt->sig, 32, NULL), *s = BN_bin2bn(jwt->sig + 32, 32, NULL);
	int n = -1;

	if (sig != NULL && r != NULL && s != NULL && ECDSA_SIG_set0(sig, r, s) == 1) {
		r = s = NULL; /* the signature has them now */
		n = i2d_ECDSA_SIG(sig, NULL);
		n = n > 0 && n <= ES256_DER_MAX ? i2d_ECDSA_SIG(sig, &der) : -1;
	}
	BN_free(r);
	BN_free(s);
	ECDSA_SIG_free(sig);
	return n;
}

static bool signature_ok(const struct mg_jwt *jwt, EVP_PKEY *pkey)
{
	const EVP_MD *md = jwt->alg == MG_ALG_EDDSA ? NULL : EVP_sha256();
	const uint8_t *sig = jwt->sig;
	size_t sig_n = jwt->sig_n;
	uint8_t der[ES256_DER_MAX];
	EVP_MD_CTX *ctx;
	bool ok;

	if (jwt->alg == MG_ALG_ES256) {
		int n = sig_n == ES256_SIG_BYTES ? es256_der(jwt, der) : -1;

		if (n < 0)
			return false;
		sig = der;
		sig_n = (size_t)n;
	} else if (sig_n != (size_t)EVP_PKEY_get_size(pkey)) {
		return false;
	}
	ctx = EVP_MD_CTX_new();
	/* EVP_DigestVerify with SHA-256 on an RSA key is PKCS #1 v1.5, which is what RS256 is. */
	ok = ctx != NULL && EVP_DigestVerifyInit(ctx, NULL, md, NULL, pkey) == 1 &&
	     EVP_DigestVerify(ctx, sig, sig_n, jwt->text, jwt->signed_n) == 1;
	EVP_MD_CTX_free(ctx);
	ERR_clear_error();
	return ok;
}

int mg_jwt_verify(const struct mg_jwt *jwt, const struct mg_jwks *keys, const struct sl_idp *idp)
{
	const struct mg_jwk *key;
	bool allowed = false;

	for (uint32_t i = 0; i < idp->algorithms.nb; i++)
		allowed = allowed || mg_alg_parse(idp->algorithms.v[i]) == jwt->alg;
	if (!allowed || jwt->alg == MG_ALG_NONE)
		return sl_fail(SL_E_JWT_ALG);
	key = mg_jwks_find(keys, jwt->kid, jwt->alg);
	if (key == NULL)
		return sl_fail(SL_E_JWT_KEY);
	return signature_ok(jwt, key->pkey) ? SL_OK : sl_fail(SL_E_JWT_SIGNATURE);
}

/* ---- claims ---- */

/* A NumericDate (RFC 7519 section 2) in seconds. 0 when absent and not needed; < 0 malformed. */
static int get_date(const json_t *claims, const char *name, bool required, double *out)
{
	const json_t *v = json_object_get(claims, name);

	*out = 0;
	if (v == NULL)
		return required ? SL_E_JWT_CLAIMS : SL_OK;
	if (!json_is_number(v))
		return SL_E_JWT_CLAIMS;
	*out = json_number_value(v);
	return *out >= 0 && *out <= DATE_MAX ? SL_OK : SL_E_JWT_CLAIMS;
}

static int check_times(const struct mg_jwt *jwt, const struct sl_idp *idp, uint64_t wall_us,
                       uint64_t *expires_us)
{
	double now = (double)wall_us / 1e6, leeway = idp->leeway_s, exp, nbf, iat;

	if (get_date(jwt->claims, "exp", true, &exp) != SL_OK ||
	    get_date(jwt->claims, "nbf", false, &nbf) != SL_OK ||
	    get_date(jwt->claims, "iat", false, &iat) != SL_OK)
		return sl_fail(SL_E_JWT_CLAIMS);
	if (now >= exp + leeway)
		return sl_fail(SL_E_JWT_EXPIRED);
	if (nbf > now + leeway || iat > now + leeway)
		return sl_fail(SL_E_JWT_NOT_YET);
	*expires_us = (uint64_t)((exp + leeway) * 1e6);
	return SL_OK;
}

static int check_audience(const json_t *aud, const char *want)
{
	const json_t *v;
	bool found = false;
	size_t i;

	if (json_is_string(aud))
		return strcmp(json_string_value(aud), want) == 0 ? SL_OK : sl_fail(SL_E_JWT_AUDIENCE);
	if (!json_is_array(aud) || json_array_size(aud) > AUDIENCES_MAX)
		return sl_fail(aud == NULL ? SL_E_JWT_AUDIENCE : SL_E_JWT_CLAIMS);
	json_array_foreach(aud, i, v)
	{
		if (!json_is_string(v))
			return sl_fail(SL_E_JWT_CLAIMS);
		found = found || strcmp(json_string_value(v), want) == 0;
	}
	return found ? SL_OK : sl_fail(SL_E_JWT_AUDIENCE);
}

/* Copies a non-empty string that must fit. */
static int copy_string(const json_t *v, char *out, size_t cap)
{
	if (!json_is_string(v) || json_string_length(v) == 0 || json_string_length(v) >= cap)
		return SL_E_JWT_CLAIMS;
	memcpy(out, json_string_value(v), json_string_length(v) + 1);
	return SL_OK;
}

static int add_group(struct sl_identity *out, const json_t *v)
{
	size_t n = json_string_length(v);

	if (!json_is_string(v) || n == 0 || out->nb_groups == SL_BUS_GROUPS_MAX ||
	    out->groups_n + n + 1 > SL_BUS_GROUPS_BYTES)
		return SL_E_JWT_CLAIMS;
	memcpy(out->groups + out->groups_n, json_string_value(v), n + 1);
	out->groups_n = (uint16_t)(out->groups_n + n + 1);
	out->nb_groups++;
	return SL_OK;
}

static int get_groups(const json_t *v, struct sl_identity *out)
{
	const json_t *g;
	size_t i;

	if (v == NULL)
		return SL_OK;
	if (json_is_string(v))
		return add_group(out, v);
	if (!json_is_array(v))
		return SL_E_JWT_CLAIMS;
	json_array_foreach(v, i, g) if (add_group(out, g) != SL_OK) return SL_E_JWT_CLAIMS;
	return SL_OK;
}

/* "name=value" behind the groups; what is no string, number or boolean cannot be compared and is left out. */
static int add_claim(struct sl_identity *out, const char *name, const json_t *v)
{
	char number[32];
	const char *text = json_string_value(v);
	size_t left = sizeof(out->groups) - out->groups_n - out->claims_n;
	int n;

	if (json_is_boolean(v))
		text = json_is_true(v) ? "true" : "false";
	if (json_is_integer(v)) {
		snprintf(number, sizeof(number), "%" JSON_INTEGER_FORMAT, json_integer_value(v));
		text = number;
	}
	if (text == NULL || (json_is_string(v) && json_string_length(v) != strlen(text)))
		return SL_OK;
	n = snprintf(out->groups + out->groups_n + out->claims_n, left, "%s=%s", name, text);
	if (n < 0 || (size_t)n >= left)
		return SL_E_JWT_CLAIMS;
	out->claims_n = (uint16_t)(out->claims_n + n + 1);
	return SL_OK;
}

static int get_claims(const json_t *claims, const struct sl_idp *idp, struct sl_identity *out)
{
	const json_t *v, *item;
	int err = SL_OK;
	size_t k;

	for (uint32_t i = 0; i < idp->claims.nb && err == SL_OK; i++) {
		v = json_object_get(claims, idp->claims.v[i]);
		if (!json_is_array(v)) {
			err = v != NULL ? add_claim(out, idp->claims.v[i], v) : SL_OK;
			continue;
		}
		json_array_foreach(v, k, item)
		{
			if (err == SL_OK)
				err = add_claim(out, idp->claims.v[i], item);
		}
	}
	return err;
}

/* The name for people: the configured claim, else preferred_username, email, sub. */
static int get_name(const json_t *claims, const struct sl_idp *idp, struct sl_identity *out)
{
	const char *const names[] = {idp->name_claim, "preferred_username", "email", "sub"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		const json_t *v = names[i] == NULL ? NULL : json_object_get(claims, names[i]);

		if (json_is_string(v) && json_string_length(v) > 0)
			return copy_string(v, out->name, sizeof(out->name));
	}
	return SL_E_JWT_CLAIMS;
}

int mg_jwt_identity(const struct mg_jwt *jwt, const struct sl_idp *idp, uint64_t wall_us,
                    struct sl_identity *out)
{
	const char *groups = idp->groups_claim == NULL ? "groups" : idp->groups_claim;
	int err;

	memset(out, 0, sizeof(*out));
	if (strcmp(jwt->iss, idp->issuer) != 0)
		return sl_fail(SL_E_JWT_ISSUER);
	err = check_audience(json_object_get(jwt->claims, "aud"), idp->audience);
	if (err == SL_OK)
		err = check_times(jwt, idp, wall_us, &out->expires_us);
	if (err != SL_OK)
		return err;
	if (copy_string(json_object_get(jwt->claims, "iss"), out->issuer, sizeof(out->issuer)) != SL_OK ||
	    copy_string(json_object_get(jwt->claims, "sub"), out->subject, sizeof(out->subject)) != SL_OK ||
	    get_name(jwt->claims, idp, out) != SL_OK ||
	    get_groups(json_object_get(jwt->claims, groups), out) != SL_OK ||
	    get_claims(jwt->claims, idp, out) != SL_OK ||
	    sl_span_cstr(sl_span_str(idp->name), out->provider, sizeof(out->provider)) < 0)
		return sl_fail(SL_E_JWT_CLAIMS);
	return SL_OK;
}

bool mg_identity_in(const struct sl_identity *who, const char *group)
{
	size_t at = 0;

	for (uint16_t i = 0; i < who->nb_groups && at < who->groups_n; i++) {
		if (strcmp(who->groups + at, group) == 0)
			return true;
		at += strlen(who->groups + at) + 1;
	}
	return false;
}
