/*
 * Drives the decoder like the flow does, from transcripts. A transcript is text; each line is one of
 *
 *   C: message        bytes of the client; consecutive lines are fed as one span
 *   T: message        bytes of the target
 *   L: [opt]          login() (tls, tlsreq, direct, bind, nobind, 3.2)
 *   R: allow | deny code text | wait
 *   B: code text      inject(SL_INJ_BYE)
 *   F: C | T          FIN of that side
 *   N:                2^31 statements and portals have come and gone
 *   !: event          expected since the last line of input
 *   >C: message       expected towards the client
 *   >T: message       expected towards the target
 *   =: result         expected of feed() when all is quiet: park, again, closed or the error's name
 *
 * Messages are written as `pgh_build` reads them and `pgh_render` writes them. "C: x 00ff" is raw bytes.
 * A report with HIDE in one of its texts has "hidden" in its place (with NAMES also none of the names). KEEP
 * in a statement gives it something to keep, which ROWMETA of its COPY must show. Verdicts come from markers:
 * DENY, HOLD, NAMED (denied without a name) or MARK (a mark, shown in the events of its reply) in a
 * statement; the token (good, bad, park); the columns' names (see verdicts()).
 */
#ifndef TEST_PG_HARNESS_H
#define TEST_PG_HARNESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sl_decoder.h"

struct pgh_opts {
	bool tls_offered, tls_required; /* towards the client */
	bool catalog;                   /* the login is of a connection of the gateway's own */
	bool mask_copy;                 /* COPY is refused */
	bool reports;                   /* REPORT is in the transcript */
	/* Columns of a COPY that are wanted, by their numbers ("02"), and how it is written; NULL: none. */
	const char *copy_want;
	struct sl_copy copy;
	bool session_denied;
	bool no_binding;      /* the target's certificate has no channel binding */
	bool no_blocks;       /* behind the first one, the login's, none is to be had */
	uint32_t message_max; /* 0: 64 KB */
	uint32_t rows_max;    /* of a result; 0: as many as there are, and ROWS is not in the transcript */
	uint32_t rows_lease;  /* allowed at a time */
};

/* Replays it whole, byte by byte, at every cut, and with random SL_AGAIN and little room; fails the test on a
 * difference. A long one (1 KB in a row from one side) is not cut everywhere, one over 16 KB comes neither
 * byte by byte nor at random. */
void pgh_run(const char *transcript, const struct pgh_opts *opts);
/* The usual way into a session. */
#define PGH_LOGIN                                                                                            \
	"C: startup 3.0 user=agent\n>C: R 3\nC: p good\n!: AUTH agent||good\nL:\n"                           \
	">T: startup 3.0 user=svc database=db client_encoding=UTF8 standard_conforming_strings=on\n"         \
	"T: R 0\nT: S client_encoding=UTF8\nT: S standard_conforming_strings=on\nT: S server_version=15.1\n" \
	"T: K 11 22\nT: Z I\n!: SESSION 15.1\n"                                                              \
	">C: R 0\n>C: S client_encoding=UTF8\n>C: S standard_conforming_strings=on\n>C: S "                  \
	"server_version=15.1\n"                                                                              \
	">C: K 77 88\n>C: Z I\n"

#endif
