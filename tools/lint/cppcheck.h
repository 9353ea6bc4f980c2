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
