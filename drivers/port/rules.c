/*
 * Flow rules: the ports that we open connections from are dealt out to the workers in blocks, and the device
 * has a rule for each block and family that brings packets to it into the worker's queue. All other packets
 * are spread as the device likes.
 */
#include "port_priv.h"

#include <stdlib.h>
#include <rte_flow.h>

static struct rte_flow *one_rule(uint16_t id, bool v6, uint16_t base, uint16_t size, uint16_t queue)
{
	struct rte_flow_attr attr = {.ingress = 1};
	struct rte_flow_item_tcp spec = {.hdr.dst_port = rte_cpu_to_be_16(base)};
	struct rte_flow_item_tcp mask = {.hdr.dst_port = rte_cpu_to_be_16((uint16_t) ~(size - 1))};
	struct rte_flow_item pattern[] = {
	        {.type = RTE_FLOW_ITEM_TYPE_ETH},
	        {.type = v6 ? RTE_FLOW_ITEM_TYPE_IPV6 : RTE_FLOW_ITEM_TYPE_IPV4},
	        {.type = RTE_FLOW_ITEM_TYPE_TCP, .spec = &spec, .mask = &mask},
	        {.type = RTE_FLOW_ITEM_TYPE_END},
	};
	struct rte_flow_action_queue to = {.index = queue};
	struct rte_flow_action actions[] = {
	        {.type = RTE_FLOW_ACTION_TYPE_QUEUE, .conf = &to},
	        {.type = RTE_FLOW_ACTION_TYPE_END},
	};
	struct rte_flow_error error;

	if (rte_flow_validate(id, &attr, pattern, actions, &error) != 0)
		return NULL;
	return rte_flow_create(id, &attr, pattern, actions, &error);
}

/* Few rules, and yet about the same number of ports for each worker. */
uint16_t port_block_size(uint16_t nb_workers)
{
	uint32_t size = rte_align32prevpow2(PORT_PICK_COUNT / ((uint32_t)nb_workers * PORT_BLOCKS_EACH));

	return (uint16_t)RTE_MAX(size, (uint32_t)PORT_BLOCK_MIN);
}

uint16_t port_block_owner(const struct sl_port *p, uint16_t port)
{
	return (uint16_t)((port - PORT_PICK_FIRST) / p->block_size % p->nb_workers);
}

/* The same place in the worker's next block, from the guess's on. */
uint16_t port_block_pick(const struct sl_port *p, uint16_t worker, uint16_t guess)
{
	uint32_t at = guess < PORT_PICK_FIRST ? guess % PORT_PICK_COUNT : (uint32_t)guess - PORT_PICK_FIRST;
	uint32_t block = at / p->block_size;
	uint32_t blocks = PORT_PICK_COUNT / p->block_size;

	block += (worker + p->nb_workers - block % p->nb_workers) % p->nb_workers;
	if (block >= blocks)
		block = worker;
	return (uint16_t)(PORT_PICK_FIRST + block * p->block_size + at % p->block_size);
}

void port_rules_free(struct sl_port *p)
{
	struct rte_flow_error error;

	for (uint32_t i = 0; i < p->nb_rules; i++)
		(void)rte_flow_destroy(p->id, p->rules[i], &error);
	free(p->rules);
	p->rules = NULL;
	p->nb_rules = 0;
}

bool port_rules_make(struct sl_port *p)
{
	uint32_t blocks;

	p->block_size = port_block_size(p->nb_workers);
	blocks = PORT_PICK_COUNT / p->block_size;
	p->rules = calloc(2 * (size_t)blocks, sizeof(p->rules[0]));
	if (p->rules == NULL)
		return false;
	for (uint32_t i = 0; i < 2 * blocks; i++) {
		uint16_t base = (uint16_t)(PORT_PICK_FIRST + i / 2 * p->block_size);
		struct rte_flow *f =
		        one_rule(p->id, i % 2 == 1, base, p->block_size, (uint16_t)(i / 2 % p->nb_workers));

		if (f == NULL) {
			port_rules_free(p);
			return false;
		}
		p->rules[p->nb_rules++] = f;
	}
	return true;
}
