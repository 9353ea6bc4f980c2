/* sluice-stack: the TCP stack without the gateway around it, for measuring and testing. See README.md. */
#include "stack.h"

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_launch.h>
#include <rte_lcore.h>

#include "sl_counter.h"
#include "stage.h"

#define FRAME_MIN    60 /* of Ethernet, without its checksum */
#define EAL_ARGS_MAX 64
#define MBUF_CACHE   256

static volatile sig_atomic_t signalled;

static void on_signal(int sig)
{
	signalled = sig;
}

static void usage(FILE *to)
{
	fprintf(to,
	        "usage: sluice-stack serve|drive|wire|flood OPTIONS [-- EAL-ARGUMENTS]\n"
	        "  --port DEVICE=ADDRESS/LENGTH[,...]  a port and its addresses (wire, flood: DEVICE)\n"
	        "  --listen SERVICE,ADDRESS:PORT[,TARGET:PORT]   echo, discard, source, once, relay\n"
	        "  --route PREFIX,VIA\n"
	        "  --load rr|connect|send|receive|conns  --remote ADDRESS:PORT ...  (drive)\n"
	        "  --conns N  --bytes N  --at-once N  --hold S  --rounds N          (drive)\n"
	        "  --stay  until a signal, also when the load has ended             (drive)\n"
	        "  --seconds N  --interval MS  --core N  --main-core N  --adaptive  --stages\n"
	        "  --mbufs N  --mbuf-bytes N  --max-conns N  --buffer BYTES  --backlog N  --mtu N  --mss N\n"
	        "  --impair NAME=N,...  the first port, both ways: drop, duplicate, reorder, corrupt (ppm),\n"
	        "                       delay, jitter, overtake (us), seed, queue (packets)\n"
	        "  --software-checksum  --frame BYTES (flood)\n"
	        "Prints a line of JSON each interval and at the end.\n");
}

/* ---- options ---- */

static bool number(const char *text, uint64_t max, uint64_t *out)
{
	char *end = NULL;

	errno = 0;
	*out = strtoull(text, &end, 10);
	return errno == 0 && end != text && *end == '\0' && *out <= max;
}

static bool u32(const char *text, uint32_t *out)
{
	uint64_t v;

	if (!number(text, UINT32_MAX, &v))
		return false;
	*out = (uint32_t)v;
	return true;
}

static bool u16(const char *text, uint16_t *out)
{
	uint64_t v;

	if (!number(text, UINT16_MAX, &v))
		return false;
	*out = (uint16_t)v;
	return true;
}

/* Writes into argv's text, which stays. */
static bool parse_port(char *text, struct options *o)
{
	struct port_opt *p = &o->ports[o->nb_ports];
	char *at = strchr(text, '=');

	if (o->nb_ports == STACK_PORTS_MAX)
		return false;
	o->nb_ports++;
	p->device = text;
	if (at == NULL)
		return true;
	*at++ = '\0';
	while (at != NULL) {
		char *next = strchr(at, ',');

		if (next != NULL)
			*next++ = '\0';
		if (p->nb_addrs == STACK_ADDRS_MAX || sl_prefix_parse(at, &p->addr[p->nb_addrs]) < 0)
			return false;
		p->nb_addrs++;
		at = next;
	}
	return true;
}

static bool parse_listen(char *text, struct options *o)
{
	struct listen_opt *l = &o->listen[o->nb_listen];
	char *local = strchr(text, ','), *target;

	if (local == NULL || o->nb_listen == STACK_LISTEN_MAX)
		return false;
	*local++ = '\0';
	target = strchr(local, ',');
	if (target != NULL)
		*target++ = '\0';
	l->kind = sl_service_find(text);
	if (l->kind == SL_SERVICE_NONE || sl_endpoint_parse(local, &l->local) < 0)
		return false;
	if ((l->kind == SL_SERVICE_RELAY) != (target != NULL) ||
	    (target != NULL && sl_endpoint_parse(target, &l->target) < 0))
		return false;
	o->nb_listen++;
	return true;
}

static bool parse_route(char *text, struct options *o)
{
	char *via = strchr(text, ',');

	if (via == NULL || o->nb_routes == STACK_ROUTES_MAX)
		return false;
	*via++ = '\0';
	return sl_prefix_parse(text, &o->routes[o->nb_routes].dst) == 0 &&
	       sl_addr_parse(via, &o->routes[o->nb_routes++].via) == 0;
}

static bool parse_remote(const char *text, struct load_cfg *l)
{
	return l->nb_remotes < LOAD_REMOTES_MAX && sl_endpoint_parse(text, &l->remote[l->nb_remotes++]) == 0;
}

/* One NAME=N. */
static bool parse_impair_part(const char *part, struct options *o)
{
	struct sl_port_impair_dir *d = &o->impair.rx;
	const struct {
		const char *name;
		uint32_t *value;
	} names[] = {
	        {"drop=", &d->drop_ppm},       {"duplicate=", &d->duplicate_ppm},
	        {"reorder=", &d->reorder_ppm}, {"corrupt=", &d->corrupt_ppm},
	        {"delay=", &d->delay_us},      {"jitter=", &d->jitter_us},
	        {"overtake=", &d->reorder_us}, {"queue=", &o->impair.queue_packets},
	};

	if (strncmp(part, "seed=", 5) == 0)
		return number(part + 5, UINT64_MAX, &o->impair.seed);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		size_t n = strlen(names[i].name);

		if (strncmp(part, names[i].name, n) == 0)
			return u32(part + n, names[i].value);
	}
	return false;
}

static bool parse_impair(char *text, struct options *o)
{
	while (text != NULL) {
		char *next = strchr(text, ',');

		if (next != NULL)
			*next++ = '\0';
		if (!parse_impair_part(text, o))
			return false;
		text = next;
	}
	o->impair.tx = o->impair.rx;
	return o->impaired = true;
}

enum opt {
	OPT_PORT = 256,
	OPT_LISTEN,
	OPT_ROUTE,
	OPT_LOAD,
	OPT_REMOTE,
	OPT_CONNS,
	OPT_BYTES,
	OPT_AT_ONCE,
	OPT_HOLD,
	OPT_ROUNDS,
	OPT_STAY,
	OPT_SECONDS,
	OPT_INTERVAL,
	OPT_CORE,
	OPT_MAIN_CORE,
	OPT_ADAPTIVE,
	OPT_STAGES,
	OPT_MBUFS,
	OPT_MBUF_BYTES,
	OPT_MAX_CONNS,
	OPT_BUFFER,
	OPT_BACKLOG,
	OPT_MTU,
	OPT_MSS,
	OPT_SOFTWARE,
	OPT_FRAME,
	OPT_IMPAIR,
};

static const struct option long_options[] = {
        {"port", required_argument, NULL, OPT_PORT},
        {"listen", required_argument, NULL, OPT_LISTEN},
        {"route", required_argument, NULL, OPT_ROUTE},
        {"load", required_argument, NULL, OPT_LOAD},
        {"remote", required_argument, NULL, OPT_REMOTE},
        {"conns", required_argument, NULL, OPT_CONNS},
        {"bytes", required_argument, NULL, OPT_BYTES},
        {"at-once", required_argument, NULL, OPT_AT_ONCE},
        {"hold", required_argument, NULL, OPT_HOLD},
        {"rounds", required_argument, NULL, OPT_ROUNDS},
        {"stay", no_argument, NULL, OPT_STAY},
        {"seconds", required_argument, NULL, OPT_SECONDS},
        {"interval", required_argument, NULL, OPT_INTERVAL},
        {"core", required_argument, NULL, OPT_CORE},
        {"main-core", required_argument, NULL, OPT_MAIN_CORE},
        {"adaptive", no_argument, NULL, OPT_ADAPTIVE},
        {"stages", no_argument, NULL, OPT_STAGES},
        {"mbufs", required_argument, NULL, OPT_MBUFS},
        {"mbuf-bytes", required_argument, NULL, OPT_MBUF_BYTES},
        {"max-conns", required_argument, NULL, OPT_MAX_CONNS},
        {"buffer", required_argument, NULL, OPT_BUFFER},
        {"backlog", required_argument, NULL, OPT_BACKLOG},
        {"mtu", required_argument, NULL, OPT_MTU},
        {"mss", required_argument, NULL, OPT_MSS},
        {"software-checksum", no_argument, NULL, OPT_SOFTWARE},
        {"frame", required_argument, NULL, OPT_FRAME},
        {"impair", required_argument, NULL, OPT_IMPAIR},
        {0},
};

static bool parse_load_option(int opt, char *text, struct load_cfg *l)
{
	switch (opt) {
	case OPT_LOAD:
		l->kind = load_find(text);
		return l->kind != LOAD_NONE;
	case OPT_REMOTE:
		return parse_remote(text, l);
	case OPT_CONNS:
		return u32(text, &l->conns);
	case OPT_BYTES:
		return u32(text, &l->bytes) && l->bytes > 0 && l->bytes <= 65536;
	case OPT_AT_ONCE:
		return u32(text, &l->at_once) && l->at_once > 0;
	case OPT_HOLD:
		return u32(text, &l->hold_s);
	case OPT_ROUNDS:
		return u32(text, &l->rounds);
	case OPT_STAY:
		return l->stay = true;
	default:
		return false;
	}
}

static bool parse_option(int opt, char *text, struct options *o)
{
	switch (opt) {
	case OPT_PORT:
		return parse_port(text, o);
	case OPT_LISTEN:
		return parse_listen(text, o);
	case OPT_ROUTE:
		return parse_route(text, o);
	case OPT_SECONDS:
		return number(text, UINT32_MAX, &o->seconds);
	case OPT_INTERVAL:
		return u32(text, &o->interval_ms) && o->interval_ms >= 10;
	case OPT_CORE:
		return u32(text, &o->core);
	case OPT_MAIN_CORE:
		return u32(text, &o->main_core);
	case OPT_ADAPTIVE:
		return o->adaptive = true;
	case OPT_STAGES:
		return o->stages = true;
	case OPT_MBUFS:
		return u32(text, &o->mbufs);
	case OPT_MBUF_BYTES:
		return u32(text, &o->mbuf_bytes) && o->mbuf_bytes <= UINT16_MAX - RTE_PKTMBUF_HEADROOM;
	case OPT_MAX_CONNS:
		return u32(text, &o->max_conns);
	case OPT_BUFFER:
		return u32(text, &o->buf_bytes);
	case OPT_BACKLOG:
		return u32(text, &o->backlog);
	case OPT_MTU:
		return u16(text, &o->mtu);
	case OPT_MSS:
		return u16(text, &o->mss);
	case OPT_SOFTWARE:
		return o->software_checksum = true;
	case OPT_FRAME:
		return u32(text, &o->frame_bytes) && o->frame_bytes >= FRAME_MIN;
	case OPT_IMPAIR:
		return parse_impair(text, o);
	default:
		return parse_load_option(opt, text, &o->load);
	}
}

static bool parse_role(const char *name, enum role *out)
{
	static const char *const names[] = {"serve", "drive", "wire", "flood"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (strcmp(name, names[i]) == 0) {
			*out = (enum role)i;
			return true;
		}
	}
	return false;
}

/* What fits together; says what does not. */
static const char *check(const struct options *o)
{
	if (o->nb_ports == 0 || (o->role == ROLE_WIRE && o->nb_ports != 2))
		return "a port is wanted (wire: two)";
	for (uint16_t i = 0; i < o->nb_ports && o->role <= ROLE_DRIVE; i++) {
		if (o->ports[i].nb_addrs == 0)
			return "a port needs an address";
	}
	if (o->role == ROLE_DRIVE &&
	    (o->load.kind == LOAD_NONE || o->load.nb_remotes == 0 || o->load.conns == 0))
		return "drive needs --load, --remote and --conns";
	if (o->frame_bytes > o->mbuf_bytes)
		return "a frame is larger than a buffer";
	return NULL;
}

/* ---- start ---- */

static int start_eal(const struct options *o, int argc, char **argv)
{
	static char lcores[32];
	static char prog[] = "sluice-stack", opt_lcores[] = "--lcores", opt_main[] = "--main-lcore=0";
	static char *args[EAL_ARGS_MAX];
	int n = 0;

	snprintf(lcores, sizeof(lcores), "0@%u,1@%u", o->main_core, o->core);
	args[n++] = prog;
	args[n++] = opt_lcores;
	args[n++] = lcores;
	args[n++] = opt_main;
	for (int i = 0; i < argc && n < EAL_ARGS_MAX - 1; i++)
		args[n++] = argv[i];
	if (rte_eal_init(n, args) < 0) {
		fprintf(stderr, "sluice-stack: EAL: %s\n", rte_strerror(rte_errno));
		return -1;
	}
	return 0;
}

static void sleep_ms(uint32_t ms)
{
	struct timespec ts = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};

	nanosleep(&ts, NULL);
}

static void run(struct stack *s)
{
	uint64_t ms = 0;

	report(s, "start");
	while (signalled == 0 &&
	       (s->opt.load.stay || !atomic_load_explicit(&s->done, memory_order_relaxed)) &&
	       (s->opt.seconds == 0 || ms < s->opt.seconds * 1000)) {
		sleep_ms(s->opt.interval_ms);
		ms += s->opt.interval_ms;
		report(s, "run");
	}
}

static int start(struct stack *s, int argc, char **argv)
{
	char err[256] = "";

	if (start_eal(&s->opt, argc, argv) < 0)
		return EXIT_FAILURE;
	s->pool =
	        rte_pktmbuf_pool_create("stack", s->opt.mbufs, MBUF_CACHE, 0,
	                                (uint16_t)(s->opt.mbuf_bytes + RTE_PKTMBUF_HEADROOM), SOCKET_ID_ANY);
	if (s->pool == NULL) {
		fprintf(stderr, "sluice-stack: %u mbufs: %s\n", s->opt.mbufs, rte_strerror(rte_errno));
		return EXIT_FAILURE;
	}
	if (worker_open(s, err, sizeof(err)) < 0) {
		fprintf(stderr, "sluice-stack: %s\n", err);
		return EXIT_FAILURE;
	}
	stages.on = s->opt.stages;
	if (rte_eal_remote_launch(worker_run, s, 1) != 0) {
		fprintf(stderr, "sluice-stack: the worker does not start\n");
		return EXIT_FAILURE;
	}
	run(s);
	atomic_store(&s->stop, true);
	rte_eal_mp_wait_lcore();
	report(s, "end");
	worker_close(s);
	rte_eal_cleanup();
	return EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
	static struct stack s = {
	        .opt =
	                {
	                        .core = 1,
	                        .mbufs = 32768,
	                        .mbuf_bytes = 2048,
	                        .max_conns = 4096,
	                        .frame_bytes = 64,
	                        .interval_ms = 1000,
	                        .backlog = 4096,
	                        .load = {.conns = 1, .bytes = 64, .at_once = 256, .hold_s = 5, .rounds = 1},
	                },
	};
	const char *wrong;
	int opt;

	if (argc < 2 || !parse_role(argv[1], &s.opt.role)) {
		usage(stderr);
		return 2;
	}
	optind = 2;
	while ((opt = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
		if (opt == '?' || !parse_option(opt, optarg, &s.opt)) {
			fprintf(stderr, "sluice-stack: wrong option or value '%s'\n",
			        optarg == NULL ? "" : optarg);
			return 2;
		}
	}
	wrong = check(&s.opt);
	if (wrong != NULL) {
		fprintf(stderr, "sluice-stack: %s\n", wrong);
		return 2;
	}
	sl_counters_register("main");
	signal(SIGTERM, on_signal);
	signal(SIGINT, on_signal);
	return start(&s, argc - optind, argv + optind);
}
