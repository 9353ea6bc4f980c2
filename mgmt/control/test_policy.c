/* Policy versions on a real store: what the first start takes, the next one takes. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "policy.h"
#include "sl_log.h"
#include "test_store.h"

struct world {
	struct test_dir dir;
	char policies[96];
	struct sl_store *store;
};

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	sl_log_set_level((enum sl_log_level) - 1);
	test_dir_make(&w->dir);
	snprintf(w->policies, sizeof(w->policies), "%s/policy.d", w->dir.path);
	assert_int_equal(mkdir(w->policies, 0700), 0);
	w->store = test_dir_open(&w->dir);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	sl_store_close(w->store);
	test_dir_remove(&w->dir);
	free(w);
	return 0;
}

static void take_snapshot(void *ctx, uint32_t worker, const struct sl_msg *msg)
{
	mg_policy_release(msg->snapshot);
}

static void policy_changed(void *ctx, const struct sl_snapshot *snap)
{
}

static int start(struct world *w, char *err, size_t err_cap)
{
	const struct mg_policy_cfg cfg = {
	        .store = w->store, .nb_workers = 1, .send = take_snapshot, .changed = policy_changed};
	struct mg_policy *p;
	int rc = mg_policy_new(&cfg, w->policies, &p, err, err_cap);

	mg_policy_free(p);
	return rc;
}

static FILE *policy_file(struct world *w, const char *name)
{
	char path[160];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", w->policies, name);
	f = fopen(path, "w");
	assert_non_null(f);
	return f;
}

/* As many rules as one text cannot have, in two files that each can be read. */
static void test_bootstrap_too_large(void **state)
{
	struct world *w = *state;
	char err[1024] = "";

	for (int k = 0; k < 2; k++) {
		FILE *f = policy_file(w, k == 0 ? "10-a.yaml" : "20-b.yaml");

		for (int i = 0; i < 6000; i++)
			fprintf(f,
			        "---\n{kind: Rule, version: 1, metadata: {name: r%d}, spec: {action: deny, "
			        "kinds: [drop], message: no}}\n",
			        k * 6000 + i);
		fclose(f);
	}
	assert_int_equal(start(w, err, sizeof(err)), SL_E_LIMIT);
	assert_non_null(strstr(err, "nodes"));
	assert_int_equal(start(w, err, sizeof(err)), SL_E_LIMIT); /* nothing was kept of it */
}

static void test_bootstrap(void **state)
{
	static const char rule[] =
	        "{kind: Rule, version: 1, metadata: {name: %s}, spec: {action: deny, kinds: "
	        "[%s], message: no}}\n";
	struct world *w = *state;
	char err[1024] = "";
	FILE *f = policy_file(w, "10-a.yaml");

	fprintf(f, rule, "a", "drop");
	fclose(f);
	f = policy_file(w, "20-b.yaml");
	fprintf(f, rule, "b", "nonsense");
	fclose(f);
	assert_int_equal(start(w, err, sizeof(err)), SL_E_POLICY_SYNTAX);
	assert_non_null(strstr(err, "20-b.yaml:1")); /* its own file and line */
	f = policy_file(w, "20-b.yaml");
	fprintf(f, rule, "b", "delete");
	fclose(f);
	assert_int_equal(start(w, err, sizeof(err)), SL_OK);
	assert_int_equal(start(w, err, sizeof(err)), SL_OK);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test_setup_teardown(test_bootstrap, setup, teardown),
	        cmocka_unit_test_setup_teardown(test_bootstrap_too_large, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
