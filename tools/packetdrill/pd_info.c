/* TCP_INFO as Linux lays it out (include/uapi/linux/tcp.h): the order and sizes of the members are the
 * interface. */
#include <linux/tcp.h>
#include <string.h>

#include "pd.h"

#define SSTHRESH_INFINITE 0x7fffffffU
#define SSTHRESH_NONE     (1U << 30) /* ours */

/* Linux's numbers of the states. */
enum {
	LINUX_CLOSE = 7,
	LINUX_LISTEN = 10,
};

enum {
	LINUX_CA_OPEN = 0,
	LINUX_CA_DISORDER = 1,
};

static uint8_t state_number(const char *name)
{
	static const struct {
		const char *name;
		uint8_t number;
	} states[] = {
	        {"ESTABLISHED", 1}, {"SYN-SENT", 2},   {"SYN-RECEIVED", 3},
	        {"FIN-WAIT-1", 4},  {"FIN-WAIT-2", 5}, {"TIME-WAIT", 6},
	        {"CLOSE-WAIT", 8},  {"LAST-ACK", 9},   {"CLOSING", 11},
	};

	for (size_t i = 0; i < sizeof(states) / sizeof(states[0]); i++) {
		if (strcmp(states[i].name, name) == 0)
			return states[i].number;
	}
	return LINUX_CLOSE;
}

static uint8_t ca_number(const char *name)
{
	static const char *const names[] = {"open", "disorder", "cwr", "recovery", "loss"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (strcmp(names[i], name) == 0)
			return (uint8_t)i;
	}
	return 0;
}

static void put_counts(const struct sl_tcp_info *s, struct tcp_info *i)
{
	i->tcpi_unacked = s->unacked_segs;
	i->tcpi_sacked = s->sacked_segs;
	/* Linux goes on counting as lost what is on its way again. */
	i->tcpi_lost = s->lost_segs + s->retrans_segs;
	i->tcpi_retrans = s->retrans_segs;
	i->tcpi_reordering = s->reordering;
	i->tcpi_total_retrans = (uint32_t)s->retransmits;
	i->tcpi_retransmits = (uint8_t)s->backoff;
	i->tcpi_backoff = (uint8_t)s->backoff;
	i->tcpi_probes = (uint8_t)s->nb_probes;
	i->tcpi_bytes_acked = s->bytes_acked;
	i->tcpi_bytes_received = s->bytes_received;
	i->tcpi_bytes_sent = s->bytes_sent;
	i->tcpi_bytes_retrans = s->bytes_retrans;
	i->tcpi_segs_out = (uint32_t)s->segs_out;
	i->tcpi_segs_in = (uint32_t)s->segs_in;
	i->tcpi_data_segs_out = (uint32_t)s->data_segs_out;
	i->tcpi_data_segs_in = (uint32_t)s->data_segs_in;
	i->tcpi_delivered = (uint32_t)s->delivered;
	i->tcpi_delivery_rate = s->delivery_rate;
	i->tcpi_last_data_sent = s->last_snd_ms;
	i->tcpi_last_data_recv = s->last_rcv_ms;
	i->tcpi_last_ack_recv = s->last_ack_ms;
	i->tcpi_notsent_bytes = s->not_sent_bytes;
}

/* Linux's snd_mss is what a segment carries; its windows count segments. */
static void put_path(const struct sl_tcp_info *s, uint32_t payload, struct tcp_info *i)
{
	i->tcpi_options = (uint8_t)((s->ts ? TCPI_OPT_TIMESTAMPS : 0) | (s->sack ? TCPI_OPT_SACK : 0) |
	                            (s->wscale ? TCPI_OPT_WSCALE : 0) | (s->ecn ? TCPI_OPT_ECN : 0) |
	                            (s->ecn_seen ? TCPI_OPT_ECN_SEEN : 0));
	i->tcpi_snd_wscale = (unsigned char)s->snd_wscale & 0xfU;
	i->tcpi_rcv_wscale = (unsigned char)s->rcv_wscale & 0xfU;
	i->tcpi_rto = s->rto_us;
	i->tcpi_ato = s->ato_us;
	i->tcpi_snd_mss = payload;
	i->tcpi_rcv_mss = s->rcv_mss;
	i->tcpi_advmss = s->adv_mss;
	i->tcpi_pmtu = s->pmtu;
	i->tcpi_rtt = s->srtt_us;
	i->tcpi_rttvar = s->rttvar_us;
	i->tcpi_min_rtt = s->min_rtt_us;
	i->tcpi_snd_wnd = s->snd_wnd;
	i->tcpi_rcv_space = s->rcv_space;
	i->tcpi_snd_cwnd = s->snd_cwnd_bytes / payload;
	i->tcpi_snd_ssthresh =
	        s->ssthresh_bytes >= SSTHRESH_NONE ? SSTHRESH_INFINITE : s->ssthresh_bytes / payload;
}

/* The rest of the caller's bytes, what newer kernels have added, is zero. */
void pd_info(const struct pd_file *f, void *out, size_t n)
{
	struct tcp_info i = {.tcpi_state = f->kind == PD_LISTENER ? LINUX_LISTEN : LINUX_CLOSE};
	struct sl_tcp_info s;

	if (f->c != NULL) {
		sl_tcp_get_info(f->c, &s);
		i.tcpi_state = state_number(s.state);
		i.tcpi_ca_state = ca_number(s.ca_state);
		if (i.tcpi_ca_state == LINUX_CA_OPEN && s.sacked_segs > 0)
			i.tcpi_ca_state = LINUX_CA_DISORDER;
		put_counts(&s, &i);
		put_path(&s, (uint32_t)pd_full_segment(f), &i);
	}
	memset(out, 0, n);
	memcpy(out, &i, n < sizeof(i) ? n : sizeof(i));
}
