/* What cppcheck cannot expand for want of the system's headers: the shape of sys/queue.h, for its eyes only.
 */
#define TAILQ_HEAD(name, type)                                                                               \
	struct name {                                                                                        \
		struct type *tqh_first, **tqh_last;                                                          \
	}
#define TAILQ_ENTRY(type)                                                                                    \
	struct {                                                                                             \
		struct type *tqe_next, **tqe_prev;                                                           \
	}
#define TAILQ_FOREACH(var, head, field)                                                                      \
	for ((var) = (head)->tqh_first; (var) != 0; (var) = (var)->field.tqe_next)
#define TAILQ_FOREACH_REVERSE(var, head, headname, field)                                                    \
	for ((var) = *(((struct headname *)((head)->tqh_last))->tqh_last); (var) != 0;                       \
	     (var) = *(((struct headname *)((var)->field.tqe_prev))->tqh_last))
