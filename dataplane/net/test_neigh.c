/* The neighbour table alone, with a writer and readers on threads of their own: what thread sanitizers look
 * at. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "neigh.h"

#define ROUNDS 100000

static struct neigh_table table;
static atomic_bool stop;

static struct neigh_key key_of(uint8_t link, uint32_t ip)
{
	return (struct neigh_key){net_ip4(ip), link};
}

static void mac_of(uint32_t ip, uint32_t round, uint8_t mac[6])
{
	for (int i = 0; i < 6; i++)
		mac[i] = (uint8_t)(ip * 7 + round);
}

static void *reader(void *arg)
{
	uintptr_t bad = 0;
	uint8_t mac[6];

	(void)arg;
	while (!atomic_load(&stop)) {
		for (uint32_t ip = 1; ip <= 16; ip++) {
			struct neigh_key key = key_of(0, ip);
			struct neigh_key other = key_of(1, ip);
			enum neigh_state s = neigh_read(&table, &key, mac);

			/* A MAC is never put together from two writes, and belongs to a state that has one.
			 */
			if (s == NEIGH_REACHABLE && memcmp(mac, mac + 1, 5) != 0)
				bad++;
			if (s != NEIGH_REACHABLE && s != NEIGH_NONE && s != NEIGH_INCOMPLETE)
				bad++;
			(void)neigh_request(&table, &other);
		}
	}
	return (void *)bad;
}

static void test_concurrent(void **state)
{
	pthread_t t[2];
	uint64_t taken = 0;
	void *bad;

	(void)state;
	neigh_init(&table, 0);
	for (int i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&t[i], NULL, reader, NULL), 0);
	/* On a busy machine the readers may start late: go on until they have asked for something. */
	for (uint32_t r = 0; r < ROUNDS || (taken == 0 && r < 20 * ROUNDS); r++) {
		struct neigh_key key = key_of(0, 1 + r % 16);
		struct neigh *n = neigh_find(&table, &key);
		uint8_t mac[6];

		if (r >= ROUNDS)
			(void)sched_yield();
		if (n == NULL)
			n = neigh_add(&table, &key, true);
		mac_of(1 + r % 16, r, mac);
		switch (r / 16 % 3) {
		case 0:
			neigh_set(&table, n, &key, NEIGH_INCOMPLETE, NULL);
			break;
		case 1:
			neigh_set(&table, n, &key, NEIGH_REACHABLE, mac);
			break;
		default:
			neigh_set(&table, n, &key, NEIGH_NONE, NULL);
			break;
		}
		if (atomic_exchange(&table.requested, false)) {
			for (uint32_t i = 0; i < NEIGH_REQUESTS; i++) {
				struct neigh_key asked;

				if (!neigh_request_take(&table, i, &asked))
					continue;
				assert_int_equal(asked.link, 1);
				assert_in_range(net_ip_host4(&asked.ip), 1, 16);
				taken++;
			}
		}
	}
	atomic_store(&stop, true);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(pthread_join(t[i], &bad), 0);
		assert_null(bad);
	}
	assert_true(taken > 0);
}

static void test_places(void **state)
{
	static const uint8_t mac[6] = {2, 0, 0, 0, 0, 1};
	struct neigh_table *t = aligned_alloc(64, sizeof(*t));
	const struct neigh_key first = key_of(0, 1);
	const struct neigh_key elsewhere = key_of(1, 1);
	uint32_t added = 0;
	uint8_t got[6];

	(void)state;
	assert_non_null(t);
	memset(t, 0, sizeof(*t));
	neigh_init(t, 0);
	for (uint32_t ip = 1; ip <= 100000; ip++) {
		struct neigh_key key = key_of(0, ip);
		struct neigh *n = neigh_add(t, &key, false);

		if (n == NULL)
			continue;
		neigh_set(t, n, &key, NEIGH_REACHABLE, mac);
		added++;
	}
	assert_int_equal(added, NEIGH_BUCKETS * NEIGH_WAYS); /* full, and nothing alive was pushed out */
	assert_int_equal(neigh_read(t, &first, got), NEIGH_REACHABLE);
	assert_memory_equal(got, mac, 6);
	assert_int_equal(neigh_read(t, &elsewhere, got), NEIGH_NONE); /* another link */
	/* What we ourselves need finds a place, and not that of one in use. */
	for (uint32_t ip = 200000; ip < 200500; ip++) {
		struct neigh_key key = key_of(0, ip);
		struct neigh *n = neigh_add(t, &key, true);

		assert_non_null(n);
		assert_ptr_not_equal(n, neigh_find(t, &first));
	}
	assert_true(neigh_request(t, &first));
	assert_false(neigh_request(t, &first)); /* later */
	/* Worker 0 has seen that somebody asks (net_nud_serve()), and died before it took what: who asks
	 * again tells its heir. */
	assert_true(atomic_exchange(&t->requested, false));
	(void)neigh_request(t, &first);
	assert_true(atomic_load(&t->requested));
	free(t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_places),
	        cmocka_unit_test(test_concurrent),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
