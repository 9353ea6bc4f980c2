#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config.h"

static const char good[] = "workers: 2\n"
                           "cores: [1, 0]\n"
                           "poll: full\n"
                           "eal: [\"--no-huge\", \"-m\", \"64\"]\n"
                           "ports:\n"
                           "  - { device: p0, address: 10.0.1.1/24, vlan: 7 }\n"
                           "  - { device: p1, address: 10.0.2.1/24 }\n"
                           "routes:\n"
                           "  - { to: 0.0.0.0/0, via: 10.0.1.254 }\n"
                           "listeners:\n"
                           "  - name: pg\n"
                           "    protocol: postgres\n"
                           "    address: 10.0.1.1:5432\n"
                           "    tls: { certFile: /c, keyFile: /k }\n"
                           "management:\n"
                           "  listen: 127.0.0.1:8443\n"
                           "  tls: { certFile: /c, keyFile: /k }\n"
                           "  masterKeyFile: /m\n"
                           "store: { path: /s, signKeyFile: /sk, size: 1G }\n";

static int load(const char *text, struct config *c, char *err, size_t cap)
{
	char file[] = "/tmp/sluice-config-XXXXXX";
	int fd = mkstemp(file), rc;

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
	rc = config_load(file, c, err, cap);
	unlink(file);
	return rc;
}

static void test_good(void **state)
{
	static struct config c;
	char err[512] = "";

	(void)state;
	assert_int_equal(load(good, &c, err, sizeof(err)), 0);
	assert_int_equal(c.workers, 2);
	assert_int_equal(c.nb_cores, 2);
	assert_int_equal(c.cores[0], 1);
	assert_true(c.full_poll);
	assert_int_equal(c.nb_eal, 3);
	assert_string_equal(c.eal[2], "64");
	assert_int_equal(c.nb_ports, 2);
	assert_int_equal(c.ports[0].vlan, 7);
	assert_int_equal(c.ports[1].address.bits, 24);
	assert_int_equal(c.nb_routes, 1);
	assert_int_equal(c.routes[0].to.bits, 0);
	assert_int_equal(c.nb_listeners, 1);
	assert_int_equal(c.listeners[0].address.port, 5432);
	assert_string_equal(c.listeners[0].key_file, "/k");
	assert_string_equal(c.master_key, "/m");
	assert_int_equal(c.store_bytes, 1 << 30);
	/* What was not said has its default. */
	assert_int_equal(c.max_sessions, 4096);
	assert_int_equal(c.message_bytes, 1 << 20);
	assert_true(c.record_replies);
	config_free(&c);
}

/* Replaces one line of the good text and expects an error that names the place and the matter. */
static void expect_error(const char *line, const char *by, const char *wanted)
{
	static struct config c;
	char text[4096], err[512] = "";
	const char *at = strstr(good, line);

	assert_non_null(at);
	snprintf(text, sizeof(text), "%.*s%s%s", (int)(at - good), good, by, at + strlen(line));
	assert_int_equal(load(text, &c, err, sizeof(err)), SL_E_CONFIG);
	if (strstr(err, wanted) == NULL)
		fail_msg("error is '%s', not about '%s'", err, wanted);
}

static void test_errors(void **state)
{
	(void)state;
	expect_error("workers: 2\n", "workers: two\n", ":1:");
	expect_error("workers: 2\n", "workers: 0\n", "'workers' must be 1 to");
	expect_error("workers: 2\n", "wokers: 2\n", "unknown key 'wokers'");
	expect_error("cores: [1, 0]\n", "cores: [1]\n", "one core for each worker");
	expect_error("poll: full\n", "poll: never\n", "adaptive or full");
	expect_error("vlan: 7", "vlan: 5000", "vlan is at most");
	expect_error("10.0.2.1/24", "10.0.2.1", "'address' must be an address with its prefix");
	expect_error("10.0.1.1:5432\n", "10.0.1.1\n", "'address' must be an address with a port");
	expect_error("protocol: postgres", "protocol: gopher", "no protocol 'gopher'");
	expect_error("    tls: { certFile: /c, keyFile: /k }\n", "", "needs 'tls'");
	expect_error("    tls: { certFile: /c, keyFile: /k }\n", "    tls: { certFile: /c }\n",
	             "'keyFile' is missing");
	expect_error("  masterKeyFile: /m\n", "", "'masterKeyFile' is missing");
	expect_error("size: 1G", "size: big", "'size' must be a size");
	expect_error("store: { path: /s", "stores: { path: /s", "unknown key 'stores'");
	expect_error("ports:\n", "ports: 3\nx:\n", "unknown key 'x'");
	expect_error("workers: 2\n", "---\na: 1\n---\nworkers: 2\n", "one document");
}

static void test_insecure_listener_says_so(void **state)
{
	static struct config c;
	char text[4096], err[512] = "";
	const char *line = "    tls: { certFile: /c, keyFile: /k }\n", *at = strstr(good, line);

	(void)state;
	snprintf(text, sizeof(text), "%.*s    insecure: true\n%s", (int)(at - good), good, at + strlen(line));
	assert_int_equal(load(text, &c, err, sizeof(err)), 0);
	assert_true(c.listeners[0].insecure);
	config_free(&c);
}

static void test_no_file(void **state)
{
	static struct config c;
	char err[512] = "";

	(void)state;
	assert_int_equal(config_load("/nonexistent/x.yaml", &c, err, sizeof(err)), SL_E_CONFIG);
	assert_non_null(strstr(err, "/nonexistent/x.yaml"));
	assert_int_equal(load("", &c, err, sizeof(err)), SL_E_CONFIG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_good),
	        cmocka_unit_test(test_errors),
	        cmocka_unit_test(test_insecure_listener_says_so),
	        cmocka_unit_test(test_no_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
