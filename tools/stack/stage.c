#include "stage.h"

#include <rte_cycles.h>

#include "sl_port.h"

struct stages stages;

static struct {
	enum stage current;
	uint64_t began, last;
	uint64_t cycles[STAGE_COUNT]; /* of this loop */
} here;

const char *stage_name(enum stage s)
{
	static const char *const names[STAGE_COUNT] = {
	        [STAGE_LOOP] = "loop",       [STAGE_RX] = "rx",   [STAGE_NET_IN] = "net_in",
	        [STAGE_TCP_IN] = "tcp_in",   [STAGE_APP] = "app", [STAGE_TCP_OUT] = "tcp_out",
	        [STAGE_NET_OUT] = "net_out", [STAGE_TX] = "tx",
	};

	return names[s];
}

void stage_begin(void)
{
	here.began = here.last = rte_rdtsc();
	here.current = STAGE_LOOP;
	if (stages.on) {
		for (int i = 0; i < STAGE_COUNT; i++)
			here.cycles[i] = 0;
	}
}

void stage_end(bool busy)
{
	uint64_t now = rte_rdtsc();

	if (!busy) {
		stages.loops_idle++;
		stages.idle_cycles += now - here.began;
		return;
	}
	stages.loops_busy++;
	stages.busy_cycles += now - here.began;
	if (!stages.on)
		return;
	here.cycles[here.current] += now - here.last;
	for (int i = 0; i < STAGE_COUNT; i++)
		stages.cycles[i] += here.cycles[i];
}

void stage_slept(uint64_t cycles)
{
	stages.sleeps++;
	stages.sleep_cycles += cycles;
}

enum stage stage_enter(enum stage s)
{
	enum stage was = here.current;
	uint64_t now;

	if (!stages.on)
		return was;
	now = rte_rdtsc();
	here.cycles[was] += now - here.last;
	here.last = now;
	here.current = s;
	return was;
}

/* The linker puts these in front of the calls from dataplane/net (--wrap). */
uint16_t __real_sl_port_rx(struct sl_port *p, uint16_t worker, struct rte_mbuf **m, uint16_t n);
uint16_t __wrap_sl_port_rx(struct sl_port *p, uint16_t worker, struct rte_mbuf **m, uint16_t n);
void __real_sl_port_tx(struct sl_port *p, uint16_t worker, struct rte_mbuf **m, uint16_t n);
void __wrap_sl_port_tx(struct sl_port *p, uint16_t worker, struct rte_mbuf **m, uint16_t n);

uint16_t __wrap_sl_port_rx(struct sl_port *p, uint16_t worker, struct rte_mbuf **m, uint16_t n)
{
	enum stage was = stage_enter(STAGE_RX);
	uint16_t got = __real_sl_port_rx(p, worker, m, n);

	(void)stage_enter(was);
	return got;
}

void __wrap_sl_port_tx(struct sl_port *p, uint16_t worker, struct rte_mbuf **m, uint16_t n)
{
	enum stage was = stage_enter(STAGE_TX);

	__real_sl_port_tx(p, worker, m, n);
	(void)stage_enter(was);
}
