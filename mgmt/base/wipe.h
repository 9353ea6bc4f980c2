/*
 * Memory of JSON documents and network buffers is cleared when it is given back: request bodies carry
 * targets' passwords and tokens, and both libraries keep copies that we do not see.
 */
#ifndef MG_WIPE_H
#define MG_WIPE_H

/* Installs the allocators in jansson and libevent. Before either is used; several calls do no harm. */
void mg_wipe_init(void);

#endif
