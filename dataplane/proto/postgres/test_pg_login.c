/* Transcripts of start-up, both logins, and what is refused at the wire. Names follow the list of attacks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>

#include "test_pg_harness.h"

#define ASKED   "C: startup 3.0 user=agent\n>C: R 3\n"
#define ALLOWED ASKED "C: p good\n!: AUTH agent||good\n"
#define STARTED ">T: startup 3.0 user=svc database=db client_encoding=UTF8 standard_conforming_strings=on\n"
#define CONNECT ALLOWED "L:\n" STARTED
#define ALLOWED32                                                                                            \
	ALLOWED "L: 3.2\n>T: startup 3.2 user=svc database=db client_encoding=UTF8 "                         \
	        "standard_conforming_strings=on\n"

#define OWN                                                                                                  \
	"L:\n" STARTED                                                                                       \
	"T: R 0\nT: S client_encoding=UTF8\nT: S standard_conforming_strings=on\nT: K 11 22\n"               \
	"T: Z I\n>T: Q catalog\n"

static void run(const char *transcript)
{
	pgh_run(transcript, NULL);
}

static void test_login(void **state)
{
	static const struct pgh_opts denied = {.session_denied = true};

	(void)state;
	run(PGH_LOGIN);
	run("C: startup 3.0 user=agent database=d application_name=psql client_encoding=utf-8 TimeZone=UTC "
	    "datestyle=ISO\n>C: R 3\n"
	    "C: p park\n!: AUTH agent|d|park\n=: park\nR: allow\nL:\n"
	    ">T: startup 3.0 user=svc database=db client_encoding=UTF8 standard_conforming_strings=on "
	    "application_name=psql "
	    "TimeZone=UTC DateStyle=ISO\n");
	run(ASKED "C: p bad\n!: AUTH agent||bad\n>C: E FATAL 28P01 bad token D=event EV\n=: auth\n");
	run(ASKED "C: p park\n!: AUTH agent||park\n=: park\nR: deny refused nobody\n>C: E FATAL 28P01 nobody "
	          "D=event EV\n=: auth\n"
	          "B: shutdown never said twice\n=: auth\n");
	run(ASKED "C: p park\n!: AUTH agent||park\n=: park\nR: deny unavailable later\n>C: E FATAL 57P03 "
	          "later D=event EV\n=: auth\n");
	/* the client goes away */
	run(ASKED "C: X\n=: closed\n");
	run(ALLOWED "C: X\n=: closed\n");
	/* Flush before the login is complete asks for nothing; all else is refused */
	run(ALLOWED "C: x 48 00000004\nC: X\n=: closed\n");
	run(ALLOWED
	    "C: x 48 00000005 00\n!: ERROR proto_state\n>C: E FATAL 08P01 message before the login is "
	    "complete\n=: proto_state\n");
	pgh_run(CONNECT "T: R 0\nT: S client_encoding=UTF8\nT: S standard_conforming_strings=on\nT: Z I\n!: "
	                "SESSION \n"
	                ">C: E FATAL 42501 no session D=event EV\n=: policy_denied\n",
	        &denied);
}

/* A connection of the gateway's own: what the client's side would hear is said to nobody. */
static void test_catalog(void **state)
{
	static const struct pgh_opts own = {.catalog = true, .message_max = 2000};

	(void)state;
	pgh_run(OWN "T: C SET\nT: S search_path=pg_catalog\nT: T a b c d e f g\nT: D 1,2,3,4,5,6,7\n"
	            "!: CATALOG 1 2 3 4 5 6 7\nT: D 1,NULL,,4,5,6,NULL\n!: CATALOG 1 -  4 5 6 -\n"
	            "T: C SELECT 2\nT: Z I\n!: CATALOG end\n>T: X\n",
	        &own);
	pgh_run(OWN "T: E ERROR 42501 no\n!: ERROR proto_target\n=: proto_target\n", &own);
	pgh_run(OWN "T: D 1,2,3,4,5,6,7\n!: ERROR proto_target\n=: proto_target\n", &own);
	pgh_run(OWN "T: T a b\nT: D 1,2\n!: ERROR proto_target\n=: proto_target\n", &own);
	pgh_run(OWN "T: C SET\nT: Z I\n!: ERROR proto_target\n=: proto_target\n", &own);
	pgh_run(OWN "T: T a\nT: C SELECT 0\nT: Z T\n!: ERROR proto_target\n=: proto_target\n", &own);
	pgh_run(OWN "T: T a\nT: C SELECT 0\nT: T a\n!: ERROR proto_target\n=: proto_target\n", &own);
	/* The credential is refused, or there is no TLS: the same as in a session. */
	pgh_run("L:\n" STARTED "T: E FATAL 28P01 no\n!: ERROR proto_target_auth\n=: proto_target_auth\n",
	        &own);
}

/* Names beyond ASCII are folded by the encoding of the database: in another one than UTF8, or one that is not
 * said, such a text is not vouched for. */
static void test_server_encoding(void **state)
{
	static const char *const says[] = {"T: S server_encoding=LATIN1\n", "",
	                                   "T: S server_encoding=UTF8\n"};
	char transcript[1024];

	(void)state;
	for (size_t i = 0; i < sizeof(says) / sizeof(says[0]); i++) {
		const char *to_client = says[i][0] != '\0' ? says[i] + 2 : "";

		snprintf(transcript, sizeof(transcript),
		         CONNECT "T: R 0\nT: S client_encoding=UTF8\nT: S "
		                 "standard_conforming_strings=on\n%sT: K 11 22\nT: Z I\n"
		                 "!: SESSION \n>C: R 0\n>C: S client_encoding=UTF8\n"
		                 ">C: S standard_conforming_strings=on\n%s%s>C: K 77 88\n>C: Z I\n"
		                 "C: Q q\n!: COMMAND 1 simple q\n>T: Q q\n"
		                 "T: C X\nT: Z I\n!: RESULT 1 X rows=0 masked=0\n>C: C X\n>C: Z I\n"
		                 "C: Q q\xc3\x84\n!: COMMAND 2 simple%s q\xc3\x84\n>T: Q q\xc3\x84\n",
		         says[i], to_client[0] != '\0' ? ">C:" : "", to_client, i == 2 ? "" : " unread");
		run(transcript);
	}
}

static void test_target_settings(void **state)
{
	(void)state;
	run(CONNECT "T: R 0\nT: S client_encoding=UTF8\nT: S standard_conforming_strings=off\nT: Z I\n!: "
	            "ERROR proto_unsupported\n"
	            ">C: E FATAL 0A000 the target does not keep client_encoding=UTF8 and "
	            "standard_conforming_strings=on\n"
	            "=: proto_unsupported\n");
	/* what is read from then on may be read otherwise by the target, also when it is on again */
	run(PGH_LOGIN
	    "C: Q q\n!: COMMAND 1 simple q\n>T: Q q\n"
	    "T: C SET\nT: S standard_conforming_strings=off\nT: Z I\n!: RESULT 1 SET rows=0 masked=0\n"
	    ">C: C SET\n>C: S standard_conforming_strings=off\n>C: Z I\n"
	    "C: Q q\n!: COMMAND 2 simple unread q\n>T: Q q\n"
	    "T: C SET\nT: S standard_conforming_strings=on\nT: Z I\n!: RESULT 2 SET rows=0 masked=0\n"
	    ">C: C SET\n>C: S standard_conforming_strings=on\n>C: Z I\n"
	    "C: Q q\n!: COMMAND 3 simple unread q\n>T: Q q\n");
	run(PGH_LOGIN "T: S client_encoding=GBK\n!: ERROR proto_unsupported\n"
	              ">C: E FATAL 0A000 client_encoding must stay UTF8\n=: proto_unsupported\n");
}

static void test_target_auth(void **state)
{
	(void)state;
	/* clear text outside TLS, unknown methods, an Ok that skips the proof */
	run(CONNECT "T: R 3\n!: ERROR proto_target_auth\n"
	            ">C: E FATAL 08004 the target asks for the password in clear outside TLS\n=: "
	            "proto_target_auth\n");
	run(CONNECT "T: R 7\n!: ERROR proto_target_auth\n"
	            ">C: E FATAL 08004 the target offers no authentication that is known here\n=: "
	            "proto_target_auth\n");
	run(CONNECT "T: R 10 58 00 00\n!: ERROR proto_target_auth\n"
	            ">C: E FATAL 08004 the target offers no authentication that is known here\n=: "
	            "proto_target_auth\n");
	run(CONNECT
	    "T: R 10 53 43 52 41 4d 2d 53 48 41 2d 32 35 36 00 00\n"
	    ">T: p SCRAM-SHA-256\\00\\00\\00\\00 n,,n=,r=AAAAAAAAAAAAAAAAAAAAAAAA\n"
	    "T: R 0\n!: ERROR proto_target_auth\n"
	    ">C: E FATAL 08004 authentication message of the target out of order\n=: proto_target_auth\n");
	run(CONNECT "T: R 5 01 02 03 04\n>T: p md58002e523f26b6051bcf9b3e36bc597b7\\00\nT: R 0\n");
	run(CONNECT "T: R 5 01 02 03\n!: ERROR proto_target\n"
	            ">C: E FATAL 08006 malformed authentication request of the target\n=: proto_target\n");
	/* its own refusals: class 28 is about our credential, the rest is told */
	run(CONNECT
	    "T: E FATAL 28P01 password authentication failed for user \"svc\"\n!: ERROR proto_target_auth\n"
	    ">C: E FATAL 08004 the target refused the stored credential\n=: proto_target_auth\n");
	run(CONNECT "T: E FATAL 3D000 database \"db\" does not exist\n!: ERROR proto_target_auth\n"
	            ">C: E FATAL 3D000 the target refused the login: database \"db\" does not exist\n=: "
	            "proto_target_auth\n");
	run(CONNECT "T: Z I\n!: ERROR proto_target\n>C: E FATAL 08006 unexpected message in the target's "
	            "login\n=: proto_target\n");
}

/* What a target offers, in hex. */
#define SASL_PLAIN "T: R 10 53 43 52 41 4d 2d 53 48 41 2d 32 35 36 00 00\n"
#define SASL_PLUS  "T: R 10 53 43 52 41 4d 2d 53 48 41 2d 32 35 36 2d 50 4c 55 53 00 00\n"
#define SASL_BOTH                                                                                            \
	"T: R 10 53 43 52 41 4d 2d 53 48 41 2d 32 35 36 2d 50 4c 55 53 00 53 43 52 41 4d 2d 53 48 41 2d 32 " \
	"35 36 00 00\n"
#define TARGET_TLS ALLOWED "L: tls\n>T: ssl\nT: byte S\n!: UPGRADE T\n" STARTED
#define FIRST_PLUS                                                                                           \
	">T: p SCRAM-SHA-256-PLUS\\00\\00\\00\\005p=tls-server-end-point,,n=,r=AAAAAAAAAAAAAAAAAAAAAAAA\n"
#define NO_BINDING                                                                                           \
	"!: ERROR proto_target_auth\n"                                                                       \
	">C: E FATAL 08004 the target offers no channel binding, which is required\n=: proto_target_auth\n"

/* The messages behind the first were computed apart from this code, for a binding of 32 letters b. */
static void test_target_channel_binding(void **state)
{
	static const struct pgh_opts no_binding = {.no_binding = true};

	(void)state;
	run(TARGET_TLS SASL_BOTH FIRST_PLUS
	    "T: R 11 72 3d 41 41 41 41 41 41 41 41 41 41 41 41 41 41 41 41 41 41 41 41 41 41 41 41 73 72 76 "
	    "4e 4f 4e 43 45 2c 73 3d 63 32 46 73 64 48 4e 68 62 48 51 3d 2c 69 3d 34 30 39 36\n"
	    ">T: p "
	    "c=cD10bHMtc2VydmVyLWVuZC1wb2ludCwsYmJiYmJiYmJiYmJiYmJiYmJiYmJiYmJiYmJiYmJiYmI=,r="
	    "AAAAAAAAAAAAAAAAAAAAAAAAsrvNONCE,p=f/l7zCAXUujnB0qiT/RPlph7yL3zzbgEpLMpb5illaQ=\n"
	    "T: R 12 76 3d 38 45 4b 76 6d 71 4c 57 74 65 79 47 66 39 55 45 65 55 4b 55 73 2b 45 4c 36 50 69 "
	    "39 4b 4b 79 79 6a 7a 65 59 44 74 6e 33 39 2b 6f 3d\nT: R 0\n");
	/* a target without it is told that it would have been used: one that did offer it says no */
	run(TARGET_TLS SASL_PLAIN
	    ">T: p SCRAM-SHA-256\\00\\00\\00\\00 y,,n=,r=AAAAAAAAAAAAAAAAAAAAAAAA\n"
	    "T: R 11 72 3d 41 41 41 41 41 41 41 41 41 41 41 41 41 41 41 41 41 41 41 41 41 41 41 41 73 72 76 "
	    "4e 4f 4e 43 45 2c 73 3d 63 32 46 73 64 48 4e 68 62 48 51 3d 2c 69 3d 34 30 39 36\n"
	    ">T: p c=eSws,r=AAAAAAAAAAAAAAAAAAAAAAAAsrvNONCE,p=WGRM1izG57TifT6OL6wkQOdrd9JtC2GjI8w32KB7zQ0=\n"
	    "T: R 12 76 3d 38 4e 7a 5a 78 46 75 45 43 64 36 46 30 4c 7a 4b 34 6d 32 62 57 55 6f 52 69 42 39 "
	    "6e 68 53 62 62 53 76 6c 58 6f 48 48 55 53 72 49 3d\nT: R 0\n");
	/* not wanted; not to be had, for the certificate has none */
	run(ALLOWED "L: nobind\n>T: ssl\nT: byte S\n!: UPGRADE T\n" STARTED SASL_BOTH
	            ">T: p SCRAM-SHA-256\\00\\00\\00\\00 n,,n=,r=AAAAAAAAAAAAAAAAAAAAAAAA\n");
	pgh_run(TARGET_TLS SASL_BOTH ">T: p SCRAM-SHA-256\\00\\00\\00\\00 n,,n=,r=AAAAAAAAAAAAAAAAAAAAAAAA\n",
	        &no_binding);
	pgh_run(TARGET_TLS SASL_PLUS "!: ERROR proto_target_auth\n>C: E FATAL 08004 the target offers no "
	                             "authentication that is known here\n=: proto_target_auth\n",
	        &no_binding);
	/* offered where there is nothing to bind to: whoever says that is not the target */
	run(CONNECT SASL_BOTH
	    "!: ERROR proto_target_auth\n>C: E FATAL 08004 the target offers channel binding "
	    "outside TLS\n=: proto_target_auth\n");
}

#define BOUND ALLOWED "L: bind\n>T: ssl\nT: byte S\n!: UPGRADE T\n" STARTED

static void test_target_binding_required(void **state)
{
	static const struct pgh_opts no_binding = {.no_binding = true};

	(void)state;
	run(BOUND SASL_BOTH FIRST_PLUS
	    "T: R 0\n!: ERROR proto_target_auth\n>C: E FATAL 08004 authentication message of "
	    "the target out of order\n=: proto_target_auth\n");
	run(BOUND SASL_PLAIN NO_BINDING);
	pgh_run(BOUND SASL_BOTH NO_BINDING, &no_binding);
	run(BOUND "T: R 0\n" NO_BINDING);
	run(BOUND "T: R 3\n" NO_BINDING);
	run(BOUND "T: R 5 01 02 03 04\n" NO_BINDING);
}

static void test_target_direct_tls(void **state)
{
	(void)state;
	run(ALLOWED "L: direct\n!: UPGRADE T direct\n" STARTED "T: R 3\n>T: p pw\\00\nT: R 0\n");
}

static void test_target_versions(void **state)
{
	static const char bad[] =
	        "!: ERROR proto_target\n>C: E FATAL 08006 the target negotiates what was not asked "
	        "for\n=: proto_target\n";
	static const char *const wrong[] = {"v 3.2 0", "v 3.3 0", "v 4.0 0", "v 3.0 1 _pq_.x"};
	char buf[4096];

	(void)state;
	/* one that speaks 3.2, one that does not, and one that says so in the manual's words */
	run(ALLOWED32
	    "T: R 0\nT: S client_encoding=UTF8\nT: S standard_conforming_strings=on\nT: K 11 22+252\nT: Z I\n"
	    "!: SESSION \n>C: R 0\n>C: S client_encoding=UTF8\n>C: S standard_conforming_strings=on\n"
	    ">C: K 77 88\n>C: Z I\nT: K 12 22+60\nT: K 13 22\nC: Q q\n!: COMMAND 1 simple q\n>T: Q q\n");
	run(ALLOWED32 "T: v 3.0 0\nT: R 3\n!: ERROR proto_target_auth\n>C: E FATAL 08004 the target asks for "
	              "the password "
	              "in clear outside TLS\n=: proto_target_auth\n");
	run(ALLOWED32
	    "T: v 0.0 0\nT: R 0\nT: K 1 2+1\n!: ERROR proto_target\n>C: E FATAL 08006 malformed or repeated "
	    "BackendKeyData\n=: proto_target\n");
	run(ALLOWED32 "T: R 0\nT: K 1 2+253\n!: ERROR proto_target\n>C: E FATAL 08006 malformed or repeated "
	              "BackendKeyData\n=: proto_target\n");
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		(void)snprintf(
		        buf, sizeof(buf), "%sT: %s\n%s", ALLOWED32, wrong[i],
		        i < 3 ? bad
		              : "!: ERROR proto_target\n>C: E FATAL 08006 malformed protocol negotiation "
		                "of the target\n=: proto_target\n");
		run(buf);
	}
	(void)snprintf(buf, sizeof(buf), "%sT: v 3.0 0\n%s", CONNECT, bad);
	run(buf);
	(void)snprintf(buf, sizeof(buf), "%sT: v 3.0 0\nT: v 3.0 0\n%s", ALLOWED32, bad);
	run(buf);
}

static void test_target_tls(void **state)
{
	(void)state;
	run(ALLOWED "L: tls\n>T: ssl\nT: byte S\n!: UPGRADE T\n" STARTED "T: R 3\n>T: p pw\\00\nT: R 0\n");
	run(ALLOWED "L: tls\n>T: ssl\nT: byte N\n" STARTED);
	run(ALLOWED "L: tlsreq\n>T: ssl\nT: byte N\n!: ERROR proto_unsupported\n"
	            ">C: E FATAL 08006 the target has no TLS, which is required\n=: proto_unsupported\n");
	/* an error before TLS is of nobody known: its text stays here */
	run(ALLOWED "L: tls\n>T: ssl\nT: byte E\n!: ERROR proto_target\n"
	            ">C: E FATAL 08006 the target did not answer the request for TLS\n=: proto_target\n");
}

static void test_client_tls(void **state)
{
	static const struct pgh_opts offered = {.tls_offered = true},
	                             required = {.tls_offered = true, .tls_required = true};

	(void)state;
	run("C: ssl\n>C: byte N\n" ASKED);
	pgh_run("C: ssl\n!: UPGRADE C\n>C: byte S\n" ASKED, &required);
	pgh_run("C: startup 3.0 user=a\n!: ERROR auth\n"
	        ">C: E FATAL 28000 this gateway takes a login inside TLS only (sslmode=require)\n=: auth\n",
	        &required);
	pgh_run("C: ssl\n!: UPGRADE C\n>C: byte S\nC: ssl\n!: ERROR proto_malformed\n"
	        ">C: E FATAL 08P01 second or malformed SSLRequest\n=: proto_malformed\n",
	        &offered);
	run("C: ssl\n>C: byte N\nC: ssl\n!: ERROR proto_malformed\n"
	    ">C: E FATAL 08P01 second or malformed SSLRequest\n=: proto_malformed\n");
}

/* ---- session credentials: SCRAM towards the client ---- */

#define CRED    "shop~0123456789ab"
#define SASL    "C: startup 3.0 user=" CRED "\n>C: R 10 SCRAM-SHA-256\\00\\00\n"
#define NONCE24 "AAAAAAAAAAAAAAAAAAAAAAAA"
#define SERVER1 "r=abc" NONCE24 ",s=c2FsdHNhbHRzYWx0c2FsdA==,i=4096"
#define PROOF   "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
#define SALTED  SASL "C: pi SCRAM-SHA-256 n,,n=,r=abc\n!: SALT " CRED "\n>C: R 11 " SERVER1 "\n"
#define PROVED                                                                                               \
	SALTED "C: pr c=biws,r=abc" NONCE24 ",p=" PROOF "\n!: PROOF " CRED "|n=,r=abc," SERVER1              \
	       ",c=biws,r=abc" NONCE24 "|32\n>C: R 12 v=" PROOF "\n"

static void test_session_credential(void **state)
{
	(void)state;
	run(PROVED "L:\n" STARTED
	           "T: R 0\nT: S client_encoding=UTF8\nT: S standard_conforming_strings=on\nT: S "
	           "server_version=15.1\nT: K 11 22\nT: Z I\n!: SESSION 15.1\n"
	           ">C: R 0\n>C: S client_encoding=UTF8\n>C: S standard_conforming_strings=on\n>C: S "
	           "server_version=15.1\n>C: K 77 88\n>C: Z I\n");
	/* both answers take their time; what is sent ahead waits */
	run("C: startup 3.0 user=park~0123456789ab\n>C: R 10 SCRAM-SHA-256\\00\\00\n"
	    "C: pi SCRAM-SHA-256 y,,n=,r=abc\n!: SALT park~0123456789ab\n=: park\nR: allow\n>C: R 11 " SERVER1
	    "\nC: pr c=eSws,r=abc" NONCE24 ",p=" PROOF "\n!: PROOF park~0123456789ab|n=,r=abc," SERVER1
	    ",c=eSws,r=abc" NONCE24 "|32\n=: park\nR: allow\n>C: R 12 v=" PROOF "\nL:\n" STARTED);
	run("C: startup 3.0 user=park~0123456789ab\n>C: R 10 SCRAM-SHA-256\\00\\00\n"
	    "C: pi SCRAM-SHA-256 n,,n=,r=abc\n!: SALT park~0123456789ab\n=: park\n"
	    "R: deny unavailable later\n>C: E FATAL 57P03 later D=event EV\n=: auth\n");
	/* the proof is wrong */
	run(SASL "C: pi SCRAM-SHA-256 n,,n=,r=bad\n!: SALT " CRED "\n>C: R 11 r=bad" NONCE24
	         ",s=c2FsdHNhbHRzYWx0c2FsdA==,i=4096\n"
	         "C: pr c=biws,r=bad" NONCE24 ",p=" PROOF "\n!: PROOF " CRED "|n=,r=bad,r=bad" NONCE24
	         ",s=c2FsdHNhbHRzYWx0c2FsdA==,i=4096,c=biws,r=bad" NONCE24
	         "|32\n>C: E FATAL 28P01 bad token D=event EV\n=: auth\n");
	/* the client goes away; a name that is none of a credential is asked for a token */
	run(SALTED "C: X\n=: closed\n");
	run("C: startup 3.0 user=shop~0123456789a\n>C: R 3\n");
	run("C: startup 3.0 user=shop~0123456789aU\n>C: R 3\n");
	run("C: startup 3.0 user=shop~0123456789abc\n>C: R 3\n");
	run("C: startup 3.0 user=~0123456789ab\n>C: R 10 SCRAM-SHA-256\\00\\00\n");
}

#define IN_TLS  "C: ssl\n!: UPGRADE C\n>C: byte S\n"
#define OFFERED "C: startup 3.0 user=" CRED "\n>C: R 10 SCRAM-SHA-256-PLUS\\00SCRAM-SHA-256\\00\\00\n"
#define PLUS                                                                                                 \
	"C: pi SCRAM-SHA-256-PLUS p=tls-server-end-point,,n=,r=abc\n!: SALT " CRED "\n>C: R 11 " SERVER1 "\n"
#define BIND_OK  "cD10bHMtc2VydmVyLWVuZC1wb2ludCwsYmJiYmJiYmJiYmJiYmJiYmJiYmJiYmJiYmJiYmJiYmI="
#define BIND_BAD "cD10bHMtc2VydmVyLWVuZC1wb2ludCwsY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2M="
#define MISBOUND                                                                                             \
	"!: ERROR scram_binding\n>C: E FATAL 28000 SCRAM channel binding check failed\n=: scram_binding\n"

static void test_session_credential_bound(void **state)
{
	static const struct pgh_opts tls = {.tls_offered = true},
	                             unbound = {.tls_offered = true, .no_binding = true};

	(void)state;
	pgh_run(IN_TLS OFFERED PLUS "C: pr c=" BIND_OK ",r=abc" NONCE24 ",p=" PROOF "\n!: PROOF " CRED
	                            "|n=,r=abc," SERVER1 ",c=" BIND_OK ",r=abc" NONCE24
	                            "|32\n>C: R 12 v=" PROOF "\n",
	        &tls);
	/* the client does not bind, which it may; or has seen another certificate; or was told that we cannot
	 */
	pgh_run(IN_TLS OFFERED "C: pi SCRAM-SHA-256 n,,n=,r=abc\n!: SALT " CRED "\n>C: R 11 " SERVER1 "\n",
	        &tls);
	pgh_run(IN_TLS OFFERED PLUS "C: pr c=" BIND_BAD ",r=abc" NONCE24 ",p=" PROOF "\n" MISBOUND, &tls);
	pgh_run(IN_TLS OFFERED PLUS "C: pr c=biws,r=abc" NONCE24 ",p=" PROOF "\n" MISBOUND, &tls);
	pgh_run(IN_TLS OFFERED "C: pi SCRAM-SHA-256 y,,n=,r=abc\n" MISBOUND, &tls);
	pgh_run(IN_TLS OFFERED "C: pi SCRAM-SHA-256-PLUS n,,n=,r=abc\n" MISBOUND, &tls);
	pgh_run(IN_TLS OFFERED "C: pi SCRAM-SHA-256-PLUS p=tls-unique,,n=,r=abc\n" MISBOUND, &tls);
	/* a certificate without a binding: none is offered */
	pgh_run(IN_TLS SASL "C: pi SCRAM-SHA-256 y,,n=,r=abc\n!: SALT " CRED "\n>C: R 11 " SERVER1 "\n",
	        &unbound);
}

static void test_p11_scram(void **state)
{
	static const struct {
		const char *sent, *err, *said;
	} first[] =
	        {
	                {"pi SCRAM-SHA-1 n,,n=,r=abc", "proto_malformed",
	                 "08P01 a SASL mechanism that was not offered"},
	                {"pi SCRAM-SHA-256-PLUS p=tls-server-end-point,,n=,r=abc", "proto_malformed",
	                 "08P01 a SASL mechanism that was not offered"},
	                {"pi SCRAM-SHA-256", "proto_malformed", "08P01 malformed SASL message"},
	                {"p token", "proto_malformed", "08P01 malformed SASL message"},
	                {"pi SCRAM-SHA-256 n,,n=,r=", "scram_malformed", "08P01 malformed SCRAM message"},
	                {"pi SCRAM-SHA-256 p=tls-server-end-point,,n=,r=abc", "scram_binding",
	                 "28000 SCRAM channel binding check failed"},
	                {"pi SCRAM-SHA-256 n,a=root,n=,r=abc", "scram_authzid",
	                 "28000 SCRAM authorization identities are not supported"},
	                {"x 700000ffff", "proto_malformed", "08P01 expected a password message"},
	                {"x 7000000004", "proto_malformed", "08P01 expected a password message"},
	                {"Q select 1", "proto_malformed", "08P01 expected a password message"},
	                /* the length inside says more, or less, than there is */
	                {"x 700000001d534352414d2d5348412d323536000000000b6e2c2c6e3d2c723d61",
	                 "proto_malformed", "08P01 malformed SASL message"},
	                {"x 700000001d534352414d2d5348412d32353600000000096e2c2c6e3d2c723d61",
	                 "proto_malformed", "08P01 malformed SASL message"},
	                {"x 700000001d534352414d2d5348412d32353600ffffffff6e2c2c6e3d2c723d61",
	                 "proto_malformed", "08P01 malformed SASL message"},
	        },
	  final[] = {
	          {"pr c=biws,r=abc" NONCE24 ",p=" PROOF "A", "scram_malformed",
	           "08P01 malformed SCRAM message"},
	          {"pr c=biws,r=abc" NONCE24 ",p=", "scram_malformed", "08P01 malformed SCRAM message"},
	          {"pr c=biws,r=abc" NONCE24, "scram_malformed", "08P01 malformed SCRAM message"},
	          {"pr x", "scram_malformed", "08P01 malformed SCRAM message"},
	          {"pr c=biws,r=abd" NONCE24 ",p=" PROOF, "scram_nonce", "08P01 malformed SCRAM message"},
	          {"pr c=eSws,r=abc" NONCE24 ",p=" PROOF, "scram_binding",
	           "28000 SCRAM channel binding check failed"},
	          {"pi SCRAM-SHA-256 n,,n=,r=abc", "scram_malformed", "08P01 malformed SCRAM message"},
	          {"Q select 1", "proto_malformed", "08P01 expected a password message"},
	  };
	char text[2048];

	(void)state;
	for (size_t i = 0; i < sizeof(first) / sizeof(first[0]); i++) {
		(void)snprintf(text, sizeof(text), SASL "C: %s\n!: ERROR %s\n>C: E FATAL %s\n=: %s\n",
		               first[i].sent, first[i].err, first[i].said, first[i].err);
		run(text);
	}
	for (size_t i = 0; i < sizeof(final) / sizeof(final[0]); i++) {
		(void)snprintf(text, sizeof(text), SALTED "C: %s\n!: ERROR %s\n>C: E FATAL %s\n=: %s\n",
		               final[i].sent, final[i].err, final[i].said, final[i].err);
		run(text);
	}
}

static void test_p01_p02_lengths(void **state)
{
	static const char *const typed[] = {"51 00000000", "51 00000003", "50 ffffffff", "64 7fffffff",
	                                    "53 40000000"};
	char buf[4096];

	(void)state;
	for (size_t i = 0; i < sizeof(typed) / sizeof(typed[0]); i++) {
		(void)snprintf(buf, sizeof(buf),
		               "%sC: x %s\n!: ERROR proto_malformed\n>C: E FATAL 08P01 message of an "
		               "impossible length\n"
		               "=: proto_malformed\n",
		               PGH_LOGIN, typed[i]);
		run(buf);
	}
	run("C: x 00000007\n!: ERROR proto_malformed\n>C: E FATAL 08P01 start-up message of an impossible "
	    "length\n=: proto_malformed\n");
	run("C: x 7fffffff\n!: ERROR proto_malformed\n>C: E FATAL 08P01 start-up message of an impossible "
	    "length\n=: proto_malformed\n");
	run("C: x 00002711\n!: ERROR proto_malformed\n>C: E FATAL 08P01 start-up message of an impossible "
	    "length\n=: proto_malformed\n");
	run(PGH_LOGIN "T: x 44 00000003\n!: ERROR proto_target\n"
	              ">C: E FATAL 08006 message of an impossible length from the target\n=: proto_target\n");
	run(PGH_LOGIN "T: x 54 ffffffff\n!: ERROR proto_target\n"
	              ">C: E FATAL 08006 message of an impossible length from the target\n=: proto_target\n");
	/* over the bound of what is read whole */
	run(PGH_LOGIN "C: x 51 00010001\n!: ERROR flow_message_size\n"
	              ">C: E FATAL 54000 message larger than this gateway reads\n=: flow_message_size\n");
	run(PGH_LOGIN "C: x 53 00000005\n!: ERROR proto_malformed\n>C: E FATAL 08P01 malformed Sync "
	              "message\n=: proto_malformed\n");
}

static void test_p03_sums(void **state)
{
	(void)state;
	/* Bind whose parameter lengths run past the message, and past 2^32 together */
	run(PGH_LOGIN
	    "C: P s|q\n!: COMMAND 1 prepare q\n>T: P s|q\n"
	    "C: x 42 00000019 00 7300 0000 0002 fffffffe 61616161 00000001 0000\n!: ERROR proto_malformed\n"
	    ">C: E FATAL 08P01 malformed Bind message\n=: proto_malformed\n");
	run(PGH_LOGIN "C: x 42 00000011 00 7300 0000 0001 7fffffff 6100\n!: ERROR proto_malformed\n"
	              ">C: E FATAL 08P01 malformed Bind message\n=: proto_malformed\n");
	/* a Query with a NUL inside, or none at its end */
	run(PGH_LOGIN "C: x 51 00000008 61006200\n!: ERROR proto_malformed\n>C: E FATAL 08P01 malformed "
	              "Query message\n=: proto_malformed\n");
	run(PGH_LOGIN "C: x 51 00000006 6161\n!: ERROR proto_malformed\n>C: E FATAL 08P01 malformed Query "
	              "message\n=: proto_malformed\n");
}

static void test_p05_second_startup(void **state)
{
	(void)state;
	run(PGH_LOGIN "C: startup 3.0 user=root\n!: ERROR proto_state\n>C: E FATAL 08P01 message of an "
	              "unknown type\n=: proto_state\n");
	run(ALLOWED "C: startup 3.0 user=root\n!: ERROR proto_state\n>C: E FATAL 08P01 message before the "
	            "login is complete\n"
	            "=: proto_state\n");
	run(ASKED "C: startup 3.0 user=root\n!: ERROR proto_malformed\n>C: E FATAL 08P01 expected a password "
	          "message\n"
	          "=: proto_malformed\n");
	run(PGH_LOGIN "C: p again\n!: ERROR proto_state\n>C: E FATAL 08P01 message of an unknown type\n=: "
	              "proto_state\n");
}

static void test_p06_silence(void **state)
{
	(void)state; /* the deadline is the flow's; the decoder waits and says why in its dialect */
	run("C: ssl\n>C: byte N\nB: unavailable login took too long\n>C: E FATAL 57P03 login took too "
	    "long\n");
}

static void test_p08_gssenc(void **state)
{
	(void)state;
	run("C: gss\n>C: byte N\nC: ssl\n>C: byte N\n" ASKED);
	run("C: gss\n>C: byte N\nC: gss\n!: ERROR proto_malformed\n>C: E FATAL 08P01 second or malformed "
	    "GSSENCRequest\n"
	    "=: proto_malformed\n");
}

static void test_p09_direct_tls(void **state)
{
	static const struct pgh_opts offered = {.tls_offered = true},
	                             required = {.tls_offered = true, .tls_required = true};

	(void)state;
	run("C: x 16030102\n!: ERROR proto_malformed\n>C: E FATAL 08P01 start-up message of an impossible "
	    "length\n"
	    "=: proto_malformed\n");
	pgh_run("C: x 16\n!: UPGRADE C direct\n" ASKED "C: p good\n!: AUTH agent||good\n", &required);
	/* inside it nothing of the other ways in */
	pgh_run("C: x 16\n!: UPGRADE C direct\nC: ssl\n!: ERROR proto_malformed\n"
	        ">C: E FATAL 08P01 second or malformed SSLRequest\n=: proto_malformed\n",
	        &offered);
	pgh_run("C: x 16\n!: UPGRADE C direct\nC: gss\n!: ERROR proto_malformed\n"
	        ">C: E FATAL 08P01 second or malformed GSSENCRequest\n=: proto_malformed\n",
	        &offered);
	pgh_run("C: x 16\n!: UPGRADE C direct\nC: x 16030102\n!: ERROR proto_malformed\n"
	        ">C: E FATAL 08P01 start-up message of an impossible length\n=: proto_malformed\n",
	        &offered);
	/* as the first thing only */
	pgh_run("C: gss\n>C: byte N\nC: x 16030102\n!: ERROR proto_malformed\n"
	        ">C: E FATAL 08P01 start-up message of an impossible length\n=: proto_malformed\n",
	        &offered);
	pgh_run("C: cancel 12 34\n!: CANCEL 12 34\n=: closed\n", &required);
}

#define GREETED                                                                                              \
	"L:\n>T: startup 3.0 user=svc database=db client_encoding=UTF8 standard_conforming_strings=on\n"     \
	"T: R 0\nT: S client_encoding=UTF8\nT: S standard_conforming_strings=on\nT: K 11 22\nT: Z I\n!: "    \
	"SESSION \n"                                                                                         \
	">C: R 0\n>C: S client_encoding=UTF8\n>C: S standard_conforming_strings=on\n"

static void test_p10_versions(void **state)
{
	(void)state;
	/* 3.2 is taken as it is, with its long cancel key; what is beyond it is told of it */
	run("C: startup 3.2 user=a\n>C: R 3\nC: p good\n!: AUTH a||good\n" GREETED
	    ">C: K 77 88+28\n>C: Z I\n");
	run("C: startup 3.1 user=a\n>C: R 3\nC: p good\n!: AUTH a||good\n" GREETED ">C: K 77 88\n>C: Z I\n");
	run("C: startup 3.3 user=a\n>C: v 3.2 0\n>C: R 3\nC: p good\n!: AUTH a||good\n" GREETED
	    ">C: K 77 88+28\n>C: Z I\n");
	run("C: startup 3.9999 user=a _pq_.x=1\n>C: v 3.2 1 _pq_.x\n>C: R 3\n");
	run("C: startup 3.0 user=a _pq_.x=1 _pq_.y=\n>C: v 3.0 2 _pq_.x _pq_.y\n>C: R 3\n");
	run("C: startup 2.0 user=a\n!: ERROR proto_unsupported\n>C: E FATAL 0A000 only protocol version 3 is "
	    "spoken here\n"
	    "=: proto_unsupported\n");
	run("C: startup 4.0 user=a\n!: ERROR proto_unsupported\n>C: E FATAL 0A000 only protocol version 3 is "
	    "spoken here\n"
	    "=: proto_unsupported\n");
}

static void test_p11_password_malformed(void **state)
{
	(void)state;
	run(ASKED "C: x 70 00000004\n!: ERROR proto_malformed\n>C: E FATAL 08P01 expected a password "
	          "message\n=: proto_malformed\n");
	run(ASKED "C: x 70 00000007 616263\n!: ERROR proto_malformed\n>C: E FATAL 08P01 malformed password "
	          "message\n=: proto_malformed\n");
	run(ASKED "C: x 70 00000007 610062\n!: ERROR proto_malformed\n>C: E FATAL 08P01 malformed password "
	          "message\n=: proto_malformed\n");
	run(ASKED "C: x 70 7fffffff\n!: ERROR proto_malformed\n>C: E FATAL 08P01 expected a password "
	          "message\n=: proto_malformed\n");
	/* SCRAM of the target with lengths that lie */
	run(CONNECT "T: R 10 53 43 52 41 4d 2d 53 48 41 2d 32 35 36 00 00\n"
	            ">T: p SCRAM-SHA-256\\00\\00\\00\\00 n,,n=,r=AAAAAAAAAAAAAAAAAAAAAAAA\n"
	            "T: R 11 72 3d\n!: ERROR proto_target_auth\n"
	            ">C: E FATAL 08004 the target's SCRAM message is not acceptable\n=: proto_target_auth\n");
}

static void test_p13_error_without_sqlstate(void **state)
{
	(void)state;
	run(PGH_LOGIN "C: Q q\n!: COMMAND 1 simple q\n>T: Q q\nT: E ERROR - odd\nT: Z I\n!: RESULT 1  rows=0 "
	              "masked=0 failed\n"
	              ">C: E ERROR odd\n>C: Z I\n");
	run(PGH_LOGIN "C: Q q\n!: COMMAND 1 simple q\n>T: Q q\nT: x 45 00000005 00\nT: Z I\n!: RESULT 1  "
	              "rows=0 masked=0 failed\n"
	              ">C: E\n>C: Z I\n");
	run(PGH_LOGIN "C: Q q\n!: COMMAND 1 simple q\n>T: Q q\nT: x 45 00000006 4361\n!: ERROR proto_target\n"
	              ">C: E FATAL 08006 malformed ErrorResponse\n=: proto_target\n");
}

static void refused(const char *param, const char *says, const char *err)
{
	char buf[1024];

	(void)snprintf(buf, sizeof(buf), "C: startup 3.0 user=a %s\n!: ERROR %s\n>C: E FATAL %s\n=: %s\n",
	               param, err, says, err);
	run(buf);
}

static void test_p14_parameters(void **state)
{
	(void)state;
	refused("options=-csearch_path=x", "42501 start-up parameter \"search_path\" is not allowed",
	        "proto_unsupported");
	refused("options=-cstandard-conforming-strings=off",
	        "42501 start-up parameter \"standard_conforming_strings\" is not allowed",
	        "proto_unsupported");
	refused("options=-d5", "42501 start-up parameter \"options\" has something that is not allowed",
	        "proto_unsupported");
	refused("options=-c", "42501 start-up parameter \"options\" has something that is not allowed",
	        "proto_unsupported");
	refused("TimeZone=UTC options=--timezone=x", "08P01 start-up parameter \"timezone\" is given twice",
	        "proto_unsupported");
	refused("search_path=x", "42501 start-up parameter \"search_path\" is not allowed",
	        "proto_unsupported");
	refused("replication=true", "42501 start-up parameter \"replication\" is not allowed",
	        "proto_unsupported");
	refused("replication=database", "42501 start-up parameter \"replication\" is not allowed",
	        "proto_unsupported");
	refused("session_authorization=x",
	        "42501 start-up parameter \"session_authorization\" is not allowed", "proto_unsupported");
	refused("client_encoding=GBK",
	        "22023 start-up parameter \"client_encoding\" must be UTF8 (set PGCLIENTENCODING=UTF8)",
	        "proto_unsupported");
	refused("client_encoding=auto",
	        "22023 start-up parameter \"client_encoding\" must be UTF8 (set PGCLIENTENCODING=UTF8)",
	        "proto_unsupported");
	refused("USER=b", "08P01 start-up parameter \"USER\" is given twice", "proto_unsupported");
	run("C: startup 3.0 user=a options= replication=false\n>C: R 3\n");
	/* as psql sends PGOPTIONS; a backslash takes a blank into the value */
	run("C: startup 3.0 user=agent "
	    "options=\t-c\tIntervalStyle=iso_8601\t--TimeZone=a\\\tb\\\\\t-cDateStyle=ISO\t\n"
	    ">C: R 3\nC: p good\n!: AUTH agent||good\nL:\n"
	    ">T: startup 3.0 user=svc database=db client_encoding=UTF8 standard_conforming_strings=on "
	    "IntervalStyle=iso_8601 TimeZone=a\tb\\ DateStyle=ISO\n");
	run("C: startup 3.0 user=a _pq_.thing=on\n>C: v 3.0 1 _pq_.thing\n>C: R 3\n");
	run("C: startup 3.0 database=a\n!: ERROR auth\n>C: E FATAL 28000 no user name in the start-up "
	    "message\n=: auth\n");
	/* without its terminator; a name without its value */
	run("C: x 0000000f 00030000 7573657200 6100\n!: ERROR proto_malformed\n"
	    ">C: E FATAL 08P01 start-up message without its terminator\n=: proto_malformed\n");
	run("C: x 0000000d 00030000 7573657261\n!: ERROR proto_malformed\n>C: E FATAL 08P01 malformed "
	    "start-up message\n"
	    "=: proto_malformed\n");
}

static void test_p26_cancel(void **state)
{
	char keys[8192];
	size_t n = 0;

	(void)state;
	run("C: cancel 12 34\n!: CANCEL 12 34\n=: closed\n");
	/* keys as 3.2 has them: up to 256 bytes */
	run("C: cancel 12 34+28\n!: CANCEL 12 34+28\n=: closed\n");
	run("C: cancel 12 34+252\n!: CANCEL 12 34+252\n=: closed\n");
	run("C: cancel 12 34+253\n!: ERROR proto_malformed\n>C: E FATAL 08P01 malformed CancelRequest\n"
	    "=: proto_malformed\n");
	run("C: x 0000000f 04d2162e 00000001 000000\n!: ERROR proto_malformed\n>C: E FATAL 08P01 "
	    "malformed CancelRequest\n"
	    "=: proto_malformed\n");
	/* BackendKeyData again and again: never relayed, and bounded */
	run(PGH_LOGIN "T: K 1 2\nT: K 3 4\nC: Q q\n!: COMMAND 1 simple q\n>T: Q q\n");
	n += (size_t)snprintf(keys + n, sizeof(keys) - n, "%sT: R 0\n", CONNECT);
	for (int i = 0; i < 17; i++)
		n += (size_t)snprintf(keys + n, sizeof(keys) - n, "T: K %d %d\n", i, i);
	(void)snprintf(keys + n, sizeof(keys) - n,
	               "!: ERROR proto_target\n>C: E FATAL 08006 malformed or repeated BackendKeyData\n=: "
	               "proto_target\n");
	run(keys);
}

static void test_p33_database_name(void **state)
{
	(void)state;
	run("C: startup 3.0 user=host=evil'\\ database=postgres://x?options=-c dbname\n!: ERROR "
	    "proto_unsupported\n"
	    ">C: E FATAL 42501 start-up parameter \"dbname\" is not allowed\n=: proto_unsupported\n");
	run("C: startup 3.0 user=a database=postgres://x?options=-c\n>C: R 3\nC: p good\n!: AUTH "
	    "a|postgres://x?options=-c|good\n");
}

static void test_unexpected(void **state)
{
	(void)state;
	run(PGH_LOGIN "C: x 7a 00000004\n!: ERROR proto_state\n>C: E FATAL 08P01 message of an unknown "
	              "type\n=: proto_state\n");
	run(PGH_LOGIN "T: C SELECT 1\n!: ERROR proto_target\n>C: E FATAL 08006 unexpected message of the "
	              "target\n=: proto_target\n");
	run(PGH_LOGIN "C: Q q\n!: COMMAND 1 simple q\n>T: Q q\nT: D 1\n!: ERROR proto_target\n"
	              ">C: E FATAL 08006 unexpected message of the target\n=: proto_target\n");
	/* a row that does not match its description, when it must be read */
	run(PGH_LOGIN
	    "C: Q q\n!: COMMAND 1 simple q\n>T: Q q\nT: T ssn\nT: D 1,2\n!: ROWMETA 1 1\n!: ERROR "
	    "proto_target\n"
	    ">C: T ssn:25:0\n>C: E FATAL 08006 DataRow does not match its RowDescription\n=: proto_target\n");
	/* the target ends: in order, or not */
	run(PGH_LOGIN "T: E FATAL 57P01 going down\n>C: E FATAL 57P01 going down\nF: T\n");
	run(PGH_LOGIN "F: T\n!: ERROR proto_target\n>C: E FATAL 08006 the target closed the connection\n=: "
	              "proto_target\n");
	run(PGH_LOGIN "F: C\n");
	run("T: R 0\n!: ERROR proto_target\n>C: E FATAL 08006 the target spoke first\n=: proto_target\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_login),
	        cmocka_unit_test(test_catalog),
	        cmocka_unit_test(test_server_encoding),
	        cmocka_unit_test(test_target_settings),
	        cmocka_unit_test(test_target_auth),
	        cmocka_unit_test(test_target_channel_binding),
	        cmocka_unit_test(test_target_binding_required),
	        cmocka_unit_test(test_target_direct_tls),
	        cmocka_unit_test(test_target_versions),
	        cmocka_unit_test(test_target_tls),
	        cmocka_unit_test(test_client_tls),
	        cmocka_unit_test(test_session_credential),
	        cmocka_unit_test(test_session_credential_bound),
	        cmocka_unit_test(test_p11_scram),
	        cmocka_unit_test(test_p01_p02_lengths),
	        cmocka_unit_test(test_p03_sums),
	        cmocka_unit_test(test_p05_second_startup),
	        cmocka_unit_test(test_p06_silence),
	        cmocka_unit_test(test_p08_gssenc),
	        cmocka_unit_test(test_p09_direct_tls),
	        cmocka_unit_test(test_p10_versions),
	        cmocka_unit_test(test_p11_password_malformed),
	        cmocka_unit_test(test_p13_error_without_sqlstate),
	        cmocka_unit_test(test_p14_parameters),
	        cmocka_unit_test(test_p26_cancel),
	        cmocka_unit_test(test_p33_database_name),
	        cmocka_unit_test(test_unexpected),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
