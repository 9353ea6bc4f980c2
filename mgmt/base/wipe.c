#include "wipe.h"

#include <malloc.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <event2/event.h>
#include <jansson.h>

#include "sl_secret.h"

/* The blocks come from malloc(), so that what was made before the call below is freed rightly too. */
static void wipe_free(void *p)
{
	if (p == NULL)
		return;
	sl_cleanse(p, malloc_usable_size(p));
	free(p);
}

/* realloc() may leave a copy behind: grow by hand. */
static void *wipe_realloc(void *p, size_t n)
{
	size_t have = p == NULL ? 0 : malloc_usable_size(p);
	void *q;

	if (n == 0) {
		wipe_free(p);
		return NULL;
	}
	if (n <= have && n >= have / 2)
		return p;
	q = malloc(n);
	if (q == NULL)
		return NULL;
	if (p != NULL)
		memcpy(q, p, have < n ? have : n);
	wipe_free(p);
	return q;
}

static void install(void)
{
	json_set_alloc_funcs(malloc, wipe_free);
	event_set_mem_functions(malloc, wipe_realloc, wipe_free);
}

void mg_wipe_init(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	(void)pthread_once(&once, install);
}
