/* Makes a store for tests of other programs: make_store PATH KEY SESSIONS RECORDS. */
#include "test_util.h"

int main(int argc, char **argv)
{
	struct sl_store_cfg cfg = {.map_bytes = TEST_MAP_BYTES, .nb_workers = 1, .blocks_per_worker = 64};
	unsigned long sessions, records;
	struct sl_store *s;
	char err[512] = "";

	if (argc != 5)
		return 2;
	cfg.path = argv[1];
	cfg.sign_key = argv[2];
	sessions = strtoul(argv[3], NULL, 10);
	records = strtoul(argv[4], NULL, 10);
	if (sl_store_open(&cfg, &s, err, sizeof(err)) != SL_OK) {
		fprintf(stderr, "%s\n", err);
		return 1;
	}
	for (unsigned long i = 0; i < sessions; i++) {
		struct sl_id id = session_id(0, (uint32_t)i);

		put_session(s, 0, &id, records, false);
	}
	sl_store_close(s);
	return 0;
}
