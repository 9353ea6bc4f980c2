/* TCP connections of the gateway, as `ss -ti` shows those of a host. */
#include <stdlib.h>

#include "cli.h"

#define INFO_MAX      640
#define SSTHRESH_NONE (1ULL << 30) /* slow start has had no end yet: nothing to see */

static const char *const heads[] = {"ID", "STATE", "RECV-Q", "SEND-Q", "LOCAL", "PEER"};

/* " name:value", where there is one. */
static size_t put(char *out, size_t at, const char *name, const json_t *row, const char *key)
{
	unsigned long long v = (unsigned long long)ju(row, key);
	int n;

	if (v == 0 || at >= INFO_MAX || (v >= SSTHRESH_NONE && strcmp(key, "ssthresh_bytes") == 0))
		return at;
	n = snprintf(out + at, INFO_MAX - at, "%s%s:%llu", at == 0 ? "" : " ", name, v);
	return n < 0 ? at : at + (size_t)n;
}

static size_t put_word(char *out, size_t at, bool there, const char *word)
{
	int n;

	if (!there || at >= INFO_MAX)
		return at;
	n = snprintf(out + at, INFO_MAX - at, "%s%s", at == 0 ? "" : " ", word);
	return n < 0 ? at : at + (size_t)n;
}

static size_t put_options(char *out, const json_t *row)
{
	char word[128];
	size_t at = put_word(out, 0, jb(row, "ts"), "ts");

	at = put_word(out, at, jb(row, "sack"), "sack");
	at = put_word(out, at, jb(row, "ecn"), "ecn");
	at = put_word(out, at, jb(row, "ecn_seen"), "ecnseen");
	snprintf(word, sizeof(word), "wscale:%u,%u", (unsigned int)ju(row, "snd_wscale"),
	         (unsigned int)ju(row, "rcv_wscale"));
	at = put_word(out, at, jb(row, "wscale"), word);
	snprintf(word, sizeof(word), "timer:(%.32s,%llums,%llu)", js(row, "timer"),
	         (unsigned long long)ju(row, "timer_ms"), (unsigned long long)ju(row, "backoff"));
	at = put_word(out, at, js(row, "timer")[0] != '\0' && strcmp(js(row, "timer"), "off") != 0, word);
	snprintf(word, sizeof(word), "rtt:%.3f/%.3f", (double)ju(row, "srtt_us") / 1000,
	         (double)ju(row, "rttvar_us") / 1000);
	at = put_word(out, at, ju(row, "srtt_us") != 0, word);
	snprintf(word, sizeof(word), "rto:%.0f", (double)ju(row, "rto_us") / 1000);
	at = put_word(out, at, ju(row, "rto_us") != 0, word);
	return put_word(out, at, strcmp(js(row, "ca_state"), "open") != 0, js(row, "ca_state"));
}

/* In the words of ss, except that windows are bytes here, and rates bytes per second. */
static void info_of(const json_t *row, char *out)
{
	static const char *const names[][2] = {
	        {"mss", "mss"},
	        {"pmtu", "pmtu"},
	        {"rcvmss", "rcv_mss"},
	        {"advmss", "adv_mss"},
	        {"cwnd_bytes", "snd_cwnd_bytes"},
	        {"ssthresh_bytes", "ssthresh_bytes"},
	        {"snd_wnd", "snd_wnd"},
	        {"rcv_wnd", "rcv_wnd"},
	        {"bytes_sent", "bytes_sent"},
	        {"bytes_retrans", "bytes_retrans"},
	        {"bytes_acked", "bytes_acked"},
	        {"bytes_received", "bytes_received"},
	        {"segs_out", "segs_out"},
	        {"segs_in", "segs_in"},
	        {"pacing_rate", "pacing_rate"},
	        {"delivery_rate", "delivery_rate"},
	        {"lastsnd", "last_snd_ms"},
	        {"lastrcv", "last_rcv_ms"},
	        {"unacked", "unacked_segs"},
	        {"retrans", "retransmits"},
	        {"lost", "lost_segs"},
	        {"sacked", "sacked_segs"},
	        {"notsent", "not_sent_bytes"},
	        {"ooo", "ooo_bytes"},
	        {"mem", "mem_bytes"},
	};
	size_t at;

	out[0] = '\0';
	at = put_options(out, row);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		at = put(out, at, names[i][0], row, names[i][1]);
}

static void add_row(struct table *t, const json_t *row)
{
	char info[INFO_MAX];

	info_of(row, info);
	table_text(t, js(row, "id"));
	table_text(t, js(row, "state"));
	table_fmt(t, "%llu", (unsigned long long)ju(row, "rx_queue_bytes"));
	table_fmt(t, "%llu", (unsigned long long)ju(row, "tx_queue_bytes"));
	table_text(t, js(row, "local"));
	table_text(t, js(row, "remote"));
	table_below(t, info);
}

struct walk {
	uint64_t worker, after;
	bool end;
	size_t limit; /* connections in all; 0: all */
	json_t *rows;
};

/* One page into w->rows; then w names the next one. */
static int one_page(struct cli *c, struct walk *w)
{
	struct reply r = {.status = 0};
	const json_t *next;
	json_t *row;
	char path[96];
	size_t i;
	int rc;

	snprintf(path, sizeof(path), "/v1/tcp?worker=%llu&after=%llu", (unsigned long long)w->worker,
	         (unsigned long long)w->after);
	rc = api_call(c, GET, path, NULL, SL_SPAN_EMPTY, &r);
	if (rc != EXIT_DONE)
		goto out;
	json_array_foreach(json_object_get(r.json, "connections"), i, row)
	{
		if (w->limit == 0 || json_array_size(w->rows) < w->limit)
			(void)json_array_append(w->rows, row);
	}
	next = json_object_get(r.json, "next");
	if (json_is_integer(next) && ju(r.json, "next") <= w->after) {
		complain("the gateway's answer does not go on"); /* it would never end */
		rc = EXIT_FAILED;
	} else if (json_is_integer(next)) {
		w->after = ju(r.json, "next");
	} else {
		w->after = 0;
		w->end = ++w->worker >= ju(r.json, "workers");
	}
	if (w->limit != 0 && json_array_size(w->rows) >= w->limit)
		w->end = true;
out:
	reply_free(&r);
	return rc;
}

int cmd_tcp_ls(struct cli *c)
{
	struct walk w = {.limit = c->limit, .rows = json_array()};
	struct table *t;
	json_t *row;
	size_t i;
	int rc = w.rows == NULL ? EXIT_FAILED : EXIT_DONE;

	while (rc == EXIT_DONE && !w.end)
		rc = one_page(c, &w);
	if (rc == EXIT_DONE && c->json) {
		print_json(w.rows);
	} else if (rc == EXIT_DONE) {
		t = table_new(heads, sizeof(heads) / sizeof(heads[0]));
		json_array_foreach(w.rows, i, row)
		{
			add_row(t, row);
		}
		table_print(t, stdout);
		table_free(t);
	}
	json_decref(w.rows);
	return rc;
}

static void print_trace(const json_t *trace)
{
	static const char *const columns[] = {"TIME", "US", "EVENT"};
	const json_t *e;
	char when[TIME_STR_MAX];
	uint64_t last = 0;
	struct table *t;
	size_t i;

	if (jb(trace, "live")) {
		t = table_new(heads, sizeof(heads) / sizeof(heads[0]));
		add_row(t, json_object_get(trace, "connection"));
		table_print(t, stdout);
		table_free(t);
	} else {
		puts("the connection has ended; this is what was kept of it");
	}
	t = table_new(columns, sizeof(columns) / sizeof(columns[0]));
	json_array_foreach(json_object_get(trace, "events"), i, e)
	{
		uint64_t at = ju(e, "t_us");

		table_text(t, text_time(at, when));
		table_fmt(t, "+%llu", (unsigned long long)(last == 0 || at < last ? 0 : at - last));
		table_text(t, js(e, "text"));
		last = at;
	}
	table_print(t, stdout);
	table_free(t);
}

int cmd_tcp_trace(struct cli *c)
{
	char *id = api_encode(c->arg[0]), *path = NULL;
	struct reply r = {.status = 0};
	bool done = false;
	int rc = EXIT_FAILED;

	if (id != NULL && asprintf(&path, "/v1/tcp/%s/trace", id) >= 0)
		rc = api_get(c, path, &r, &done);
	if (rc == EXIT_DONE && !done)
		print_trace(r.json);
	if (id != NULL)
		free(path);
	free(id);
	reply_free(&r);
	return rc;
}
