/* Waiting for a packet without polling: what an idle worker does. */
#include <dirent.h>
#include <stdlib.h>
#include <sys/socket.h>

#include <linux/if_packet.h>

#include "port_priv.h"

/* The socket is bound to the interface. */
static bool is_socket_of(int fd, unsigned int if_index)
{
	struct sockaddr_ll a = {0};
	socklen_t n = sizeof(a);

	return getsockname(fd, (struct sockaddr *)(void *)&a, &n) == 0 && a.sll_family == AF_PACKET &&
	       (unsigned int)a.sll_ifindex == if_index;
}

/* The driver keeps its packet socket to itself, so it is looked for among all descriptors. Two of them: it is
 * not known which one receives. */
static int find_socket(unsigned int if_index)
{
	DIR *d = opendir("/proc/self/fd");
	int found = -1, nb = 0;

	if (d == NULL)
		return -1;
	for (const struct dirent *e = readdir(d); e != NULL; e = readdir(d)) {
		long fd = strtol(e->d_name, NULL, 10);

		if (e->d_name[0] == '.' || !is_socket_of((int)fd, if_index))
			continue;
		found = (int)fd;
		nb++;
	}
	closedir(d);
	return nb == 1 ? found : -1;
}

void port_find_wait(struct sl_port *p, const struct rte_eth_dev_info *info)
{
	p->wait_fd = -1;
	/* What the impairment holds back no descriptor tells. */
	if (p->impair != NULL || p->caps.nb_rx_queues != 1 || info->if_index == 0 ||
	    info->driver_name == NULL || strcmp(info->driver_name, "net_af_packet") != 0)
		return;
	p->wait_fd = find_socket(info->if_index);
}

int sl_port_wait_fd(const struct sl_port *p)
{
	return p->wait_fd;
}
