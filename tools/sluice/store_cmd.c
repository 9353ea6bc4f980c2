/* store verify, ls, show: on the files of a store, without the gateway. */
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "cli.h"
#include "sl_store.h"

/*
 * LMDB trusts the pages of its file. When they are cut off or damaged, reading them faults: that is an answer
 * too, and this is the only way to give it.
 */
static void on_fault(int sig)
{
	static const char text[] =
	        "sluice: DOES NOT VERIFY: the store's file is cut off or its pages are damaged\n";

	(void)sig;
	if (write(STDERR_FILENO, text, sizeof(text) - 1) < 0)
		_exit(EXIT_CORRUPT);
	_exit(EXIT_CORRUPT);
}

static void catch_faults(void)
{
	static const int signals[] = {SIGBUS, SIGSEGV, SIGABRT, SIGFPE};
	struct sigaction sa = {.sa_handler = on_fault};

	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		(void)sigaction(signals[i], &sa, NULL);
}

static struct sl_store *open_store(const char *path)
{
	struct sl_store *s = NULL;
	char err[512] = "";

	catch_faults();
	if (sl_store_open_readonly(path, &s, err, sizeof(err)) != SL_OK)
		complain("%s", err);
	return s;
}

static void hex_of(const uint8_t hash[32], char out[65])
{
	for (size_t i = 0; i < 32; i++)
		snprintf(out + 2 * i, 3, "%02x", hash[i]);
}

/* "N:HASH", as an earlier verification printed it: it must be the chain's checkpoint N still. */
static int check_anchor(struct cli *c, struct sl_store *s)
{
	unsigned long long n;
	uint8_t hash[32];
	char hex[65], *want;

	n = strtoull(c->checkpoint, &want, 10);
	if (n == 0 || *want != ':' || strlen(want) != sizeof(hex)) {
		complain("--checkpoint takes NUMBER:HASH");
		return EXIT_USAGE;
	}
	if (sl_store_checkpoint_hash(s, n, hash) != SL_OK) {
		complain("DOES NOT VERIFY: checkpoint %llu: missing", n);
		return EXIT_CORRUPT;
	}
	hex_of(hash, hex);
	if (strcmp(hex, want + 1) == 0)
		return EXIT_DONE;
	complain("DOES NOT VERIFY: checkpoint %llu: it is another one than was noted", n);
	return EXIT_CORRUPT;
}

static void print_verified(const struct cli *c, const struct sl_verify_result *r)
{
	char hex[65];

	hex_of(r->last_checkpoint_hash, hex);
	if (c->json) {
		json_t *j =
		        json_pack("{s:b, s:I, s:I, s:I, s:s, s:I, s:s, s:b}", "ok", r->problem[0] == '\0',
		                  "sessions", (json_int_t)r->nb_sessions, "records",
		                  (json_int_t)r->nb_records, "checkpoints", (json_int_t)r->nb_checkpoints,
		                  "problem", r->problem, "last_checkpoint", (json_int_t)r->last_checkpoint,
		                  "last_checkpoint_hash", hex, "keys_from_store", r->keys_from_store);

		if (j != NULL)
			print_json(j);
		json_decref(j);
		return;
	}
	if (r->problem[0] != '\0') {
		complain("DOES NOT VERIFY: %s", r->problem);
		return;
	}
	printf("verified: %llu sessions, %llu records, %llu checkpoints\n",
	       (unsigned long long)r->nb_sessions, (unsigned long long)r->nb_records,
	       (unsigned long long)r->nb_checkpoints);
	if (r->last_checkpoint > 0)
		printf("last checkpoint %llu:%s\n", (unsigned long long)r->last_checkpoint, hex);
	if (r->keys_from_store)
		puts("with the keys that the store itself names: give --key FILE to rule out that it was "
		     "made anew as a whole");
}

int cmd_store_verify(struct cli *c)
{
	struct sl_store *s = open_store(c->arg[0]);
	struct sl_verify_result r;
	char err[512] = "";
	int rc = s == NULL ? EXIT_FAILED : EXIT_DONE;

	for (unsigned int i = 0; rc == EXIT_DONE && i < c->nb_keys; i++) {
		if (sl_store_trust(s, c->key[i], err, sizeof(err)) != SL_OK) {
			complain("%s", err);
			rc = EXIT_USAGE;
		}
	}
	if (rc == EXIT_DONE) {
		rc = sl_store_verify(s, NULL, &r) == SL_OK ? EXIT_DONE : EXIT_CORRUPT;
		print_verified(c, &r);
	}
	if (rc == EXIT_DONE && c->checkpoint != NULL)
		rc = check_anchor(c, s);
	sl_store_close(s);
	return rc;
}

struct listing {
	struct table *t;
	unsigned long left;
};

static int list_session(void *ctx, const struct sl_session_head *head, struct sl_span first)
{
	char id[SL_ID_STR_MAX], when[TIME_STR_MAX];
	struct listing *l = ctx;

	table_text(l->t, sl_id_str(&head->id, id));
	table_span(l->t, sl_record_get(first, "u").s);
	table_span(l->t, sl_record_get(first, "r").s);
	table_text(l->t, text_time(head->first_us, when));
	table_text(l->t, text_time(head->last_us, when));
	table_text(l->t, head->ended ? sl_record_kind_name((enum sl_record_kind)head->last_kind) : "live");
	table_fmt(l->t, "%llu", (unsigned long long)head->nb_records);
	return --l->left == 0;
}

int cmd_store_ls(struct cli *c)
{
	static const char *const heads[] = {"ID", "USER", "RESOURCE", "START", "LAST", "END", "RECORDS"};
	struct listing l = {.left = c->limit == 0 ? 50 : c->limit};
	struct sl_store *s = open_store(c->arg[0]);
	int rc = EXIT_FAILED;

	if (s == NULL)
		return rc;
	l.t = table_new(heads, sizeof(heads) / sizeof(heads[0]));
	if (l.t != NULL && sl_store_sessions(s, NULL, true, list_session, &l) == SL_OK) {
		table_print(l.t, stdout);
		rc = EXIT_DONE;
	} else {
		complain("%s: its sessions cannot be read", c->arg[0]);
	}
	table_free(l.t);
	sl_store_close(s);
	return rc;
}

static void print_value(struct sl_record_value v)
{
	struct sl_span rest = v.s;

	switch (v.type) {
	case SL_RV_UINT:
		printf("%llu", (unsigned long long)v.u);
		return;
	case SL_RV_BOOL:
		fputs(v.u != 0 ? "yes" : "no", stdout);
		return;
	case SL_RV_STR:
		text_line(stdout, v.s, 0);
		return;
	case SL_RV_BIN:
		printf("[%zu bytes] ", v.s.n);
		text_line(stdout, v.s, 100);
		return;
	case SL_RV_ARRAY:
		for (uint32_t i = 0; i < v.nb_items; i++) {
			fputs(i == 0 ? "" : ", ", stdout);
			print_value(sl_record_next(&rest));
		}
		return;
	case SL_RV_NIL:
	case SL_RV_NONE:
	default:
		fputs("null", stdout);
	}
}

static int print_record(void *ctx, uint64_t number, struct sl_span rec)
{
	enum sl_record_kind kind = (enum sl_record_kind)sl_record_get(rec, "k").u;
	struct sl_span rest, key;
	struct sl_record_value v;
	char when[TIME_STR_MAX];

	(void)ctx;
	if (sl_record_check(rec) != SL_OK) {
		printf("%llu malformed\n", (unsigned long long)number);
		return 0;
	}
	printf("%llu %s %s\n", (unsigned long long)number, text_time(sl_record_get(rec, "t").u, when),
	       sl_record_kind_name(kind));
	for (rest = sl_record_pairs(rec); sl_record_pair(&rest, &key, &v);) {
		const char *name = sl_record_key_name(kind, key);

		if (sl_span_is(key, "k") || sl_span_is(key, "t") || sl_span_is(key, "n"))
			continue;
		fputs("    ", stdout);
		if (name != NULL)
			fputs(name, stdout);
		else
			text_line(stdout, key, 0);
		fputs(": ", stdout);
		print_value(v);
		putchar('\n');
	}
	return 0;
}

int cmd_store_show(struct cli *c)
{
	struct sl_store *s;
	struct sl_id id;
	int rc;

	if (sl_id_parse(c->arg[1], &id) != SL_OK) {
		complain("%s: not a session's id", c->arg[1]);
		return EXIT_USAGE;
	}
	s = open_store(c->arg[0]);
	if (s == NULL)
		return EXIT_FAILED;
	rc = sl_store_records(s, &id, 0, print_record, NULL);
	if (rc != SL_OK)
		complain("session %s: %s", c->arg[1], sl_err_text(rc));
	sl_store_close(s);
	return rc == SL_OK ? EXIT_DONE : EXIT_FAILED;
}
