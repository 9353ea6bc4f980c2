/*
 * The user name under which a session credential logs in, on every protocol: "<resource>~<id>". The form
 * alone says that it is one, so that a name of somebody who is not there is treated like any other. '~' is in
 * no resource's name, and needs no escape in a URL (RFC 3986, section 2.3).
 */
#ifndef SL_LOGIN_NAME_H
#define SL_LOGIN_NAME_H

#include <stdbool.h>

#include "sl_span.h"

#define SL_LOGIN_ID      12 /* characters: 60 bits */
#define SL_LOGIN_ID_MAX  (SL_LOGIN_ID + 1)
#define SL_LOGIN_SIGN    '~'
#define SL_LOGIN_LETTERS "0123456789abcdefghjkmnpqrstvwxyz" /* 32 that cannot be taken for each other */

/*
 * How a caller says who it is. With a session credential a worker speaks SCRAM (RFC 5802) to the client and
 * never holds a verifier: it asks the management core for the salt, then for a judgement of the proof.
 */
enum sl_auth_step {
	SL_AUTH_TOKEN = 0, /* a bearer token */
	SL_AUTH_SALT,      /* a credential's id, whether there is one or not: what is its salt? */
	SL_AUTH_PROOF,     /* AuthMessage and ClientProof: does it know the password? */
};

#define SL_AUTH_SALT_MAX 64
#define SL_AUTH_PROOF_N  32 /* SHA-256 */

/* True when it is such a name; *resource may be empty (the listener may name it). Any thread. */
static inline bool sl_credential_name_split(struct sl_span user, struct sl_span *resource, struct sl_span *id)
{
	size_t at = user.n - SL_LOGIN_ID - 1;

	if (user.n <= SL_LOGIN_ID || user.p[at] != SL_LOGIN_SIGN)
		return false;
	for (size_t i = at + 1; i < user.n; i++)
		if (user.p[i] == 0 || strchr(SL_LOGIN_LETTERS, user.p[i]) == NULL)
			return false;
	*resource = sl_span(user.p, at);
	*id = sl_span(user.p + at + 1, SL_LOGIN_ID);
	return true;
}

#endif
