/* The stack's own books: queues, boards, memory and pools must agree whenever no call is under way. */
#ifndef TCP_BOOKS_H
#define TCP_BOOKS_H

#include "tcp_priv.h"

/* Ends the program with `what` when it is not so. */
void require(bool good, const char *what);
/* held: a connection was on hold before, and what came then may not be read yet. */
void tcp_books_check(const struct sl_tcp *t, bool held);
/* Nothing is left. */
void tcp_books_empty(const struct sl_tcp *t);

#endif
