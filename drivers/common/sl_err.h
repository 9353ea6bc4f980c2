/*
 * One table of errors for the whole program. A row gives the name, the severity and the text; the negative
 * code, the counter and the name in events come from it. Flow control is positive, done is 0.
 *
 * Every function that can fail returns int: 0 done, > 0 flow control, < 0 an error of this table. Returning
 * an error through sl_fail() counts it in the calling thread's counters (sl_counter.h), so that each refusal
 * and drop has its counter without more code.
 *
 * Severity: D drop of a packet or a peer's mistake at the wire; P a protocol error that ends a flow; R a
 * refusal by policy or limit; S something the operator must look at.
 */
#ifndef SL_ERR_H
#define SL_ERR_H

/* Flow control: not errors. */
enum sl_flow_control {
	SL_OK = 0,
	SL_MORE = 1,   /* more input is needed to go on */
	SL_PARK = 2,   /* waits for a verdict: the caller resumes it */
	SL_AGAIN = 3,  /* no room now (output or records): the caller tries the same again later */
	SL_CLOSED = 4, /* ended in order: nothing more will come */
};

#define SL_ERR_TABLE(X)                                                                                      \
	X(SL_E_NOMEM, 'S', "out of memory or of a bounded pool")                                             \
	X(SL_E_INVAL, 'S', "a caller broke the contract of the function")                                    \
	X(SL_E_LIMIT, 'R', "a named limit was reached")                                                      \
	X(SL_E_SYS, 'S', "a system call failed")                                                             \
	X(SL_E_NOTFOUND, 'R', "no such object")                                                              \
	X(SL_E_EXISTS, 'R', "the object exists already")                                                     \
	X(SL_E_CONFIG, 'S', "the configuration is not valid")                                                \
	X(SL_E_PORT_OPEN, 'S', "the port could not be opened or configured")                                 \
	X(SL_E_PORT_IMPAIRED, 'D', "packet dropped by the impairment that was asked for")                    \
	X(SL_E_PORT_IMPAIR_FULL, 'D', "the impairment's queue is full")                                      \
	X(SL_E_PORT_CUT, 'D', "packet lost while the impairment cuts the link")                              \
	X(SL_E_PORT_TX_INVALID, 'S', "packet to send whose offload flags do not fit it")                     \
	X(SL_E_PORT_TX_REFUSED, 'S', "packet to send that the device's driver refuses")                      \
	X(SL_E_PORT_TX_SEGMENT, 'D', "large segment that could not be cut for a port without TSO")           \
	X(SL_E_PORT_RX_CHAIN, 'D', "received chain of buffers that is no TCP and too large for one")         \
	X(SL_E_PORT_RX_TRUNCATED, 'D', "received frame that the kernel had no room to keep whole")           \
	X(SL_E_PORT_RX_HEADER, 'D', "received frame that the kernel describes wrongly")                      \
	X(SL_E_PORT_RX_OFFLOAD, 'D', "received frame with offloads at a port that uses none")                \
	X(SL_E_NET_SHORT, 'D', "packet shorter than its headers say")                                        \
	X(SL_E_NET_ETHERTYPE, 'D', "EtherType that is not handled")                                          \
	X(SL_E_NET_DST_MAC, 'D', "frame for another station")                                                \
	X(SL_E_NET_VLAN, 'D', "frame of another VLAN")                                                       \
	X(SL_E_NET_ARP, 'D', "ARP packet malformed or not for us")                                           \
	X(SL_E_NET_ARP_SPOOF, 'D', "ARP packet that claims an address of ours or of another subnet")         \
	X(SL_E_NET_IP_VERSION, 'D', "IP version that is not handled")                                        \
	X(SL_E_NET_IP_HEADER, 'D', "IP header malformed")                                                    \
	X(SL_E_NET_IP_CSUM, 'D', "IP header checksum wrong")                                                 \
	X(SL_E_NET_IP_OPTIONS, 'D', "IP options (source routing among them) are refused")                    \
	X(SL_E_NET_IP_FRAGMENT, 'D', "IP fragment malformed")                                                \
	X(SL_E_NET_IP_SRC, 'D', "source address that cannot be one")                                         \
	X(SL_E_NET_IP_DST, 'D', "packet for another host")                                                   \
	X(SL_E_NET_IP_PROTO, 'D', "IP protocol that is not handled")                                         \
	X(SL_E_NET_ICMP, 'D', "ICMP message malformed or not handled")                                       \
	X(SL_E_NET_NO_ROUTE, 'D', "no route to the destination")                                             \
	X(SL_E_NET_NO_NEIGHBOUR, 'D', "the next hop did not answer ARP")                                     \
	X(SL_E_NET_TX_FULL, 'D', "transmit queue full")                                                      \
	X(SL_E_NET_HANDOFF_FULL, 'D', "hand-off ring to the owning worker full")                             \
	X(SL_E_NET_NO_MBUF, 'S', "packet pool empty")                                                        \
	X(SL_E_NET_SRC_MAC, 'D', "frame from a station that cannot be one, or from ourselves")               \
	X(SL_E_NET_MTU, 'D', "packet larger than the interface's MTU")                                       \
	X(SL_E_NET_ICMP_RATE, 'D', "ICMP echo request or error over the rate limit")                         \
	X(SL_E_NET_ADDR_CONFLICT, 'S', "another station has an address of ours")                             \
	X(SL_E_NET_NDP, 'D', "neighbour discovery message malformed or not for us")                          \
	X(SL_E_NET_NDP_SPOOF, 'D',                                                                           \
	  "neighbour discovery message that claims an address of ours or of another station")                \
	X(SL_E_NET_NEIGH_LIMIT, 'D', "too many neighbours are being asked for")                              \
	X(SL_E_NET_IP6_EXT, 'D', "IPv6 extension header malformed, out of order or over a limit")            \
	X(SL_E_NET_IP6_ROUTING, 'D', "IPv6 routing header that is not at its end, or of type 0")             \
	X(SL_E_NET_REASS_SIZE, 'D', "fragments of a datagram that does not fit a buffer")                    \
	X(SL_E_NET_REASS_TINY, 'D', "first fragment without the whole header of its protocol")               \
	X(SL_E_NET_REASS_OVERLAP, 'D',                                                                       \
	  "fragment that overlaps another, or of a datagram that was dropped for it")                        \
	X(SL_E_NET_REASS_LIMIT, 'D', "fragments over a quota: the oldest datagram was dropped")              \
	X(SL_E_NET_REASS_TIMEOUT, 'D', "fragments of a datagram that did not become whole in time")          \
	X(SL_E_TCP_HEADER, 'D', "TCP header malformed")                                                      \
	X(SL_E_TCP_CSUM, 'D', "TCP checksum wrong")                                                          \
	X(SL_E_TCP_OPTIONS, 'D', "TCP options malformed")                                                    \
	X(SL_E_TCP_NO_LISTENER, 'D', "TCP segment for no connection and no listener")                        \
	X(SL_E_TCP_SEQ, 'D', "segment outside the window")                                                   \
	X(SL_E_TCP_ACK, 'D', "acknowledgement of what was never sent, or too old")                           \
	X(SL_E_TCP_ICMP, 'D', "ICMP error that quotes nothing in flight")                                    \
	X(SL_E_TCP_RENEGED, 'D', "the peer dropped data that it had SACKed")                                 \
	X(SL_E_TCP_PAWS, 'D', "timestamp too old (PAWS)")                                                    \
	X(SL_E_TCP_RST_CHALLENGE, 'D', "RST or SYN in window answered by a challenge ACK")                   \
	X(SL_E_TCP_OOO_LIMIT, 'D', "out-of-order data over the limit")                                       \
	X(SL_E_TCP_BACKLOG, 'R', "listener's backlog of half-open connections full, and no cookie possible") \
	X(SL_E_TCP_HALF_OPEN, 'D', "half-open connection given up: no answer to the SYN-ACK")                \
	X(SL_E_TCP_COOKIE, 'D', "acknowledgement of a SYN cookie that is wrong or too old")                  \
	X(SL_E_TCP_NO_CONN, 'D', "segment for a listener that is of no connection")                          \
	X(SL_E_TCP_RST_LIMIT, 'D', "RST not sent: too many of them to this source")                          \
	X(SL_E_TCP_CONN_LIMIT, 'R', "connection limit reached")                                              \
	X(SL_E_TCP_LISTENER_LIMIT, 'R', "connection limit of the listener reached")                          \
	X(SL_E_TCP_SOURCE_LIMIT, 'R', "connection limit of the source address reached")                      \
	X(SL_E_TCP_BYTES_LIMIT, 'D', "buffers over the cap of the listener or of the source address")        \
	X(SL_E_TCP_RESET, 'D', "connection reset by the peer")                                               \
	X(SL_E_TCP_REFUSED, 'D', "connection refused by the peer")                                           \
	X(SL_E_TCP_TIMEOUT, 'D', "the peer stopped answering")                                               \
	X(SL_E_TCP_UNREACHABLE, 'D', "the peer cannot be reached")                                           \
	X(SL_E_TCP_NO_PORT, 'S', "no local port left for the connection")                                    \
	X(SL_E_TCP_ABORTED, 'D', "connection aborted by us")                                                 \
	X(SL_E_TLS_CONFIG, 'S', "certificate or key cannot be used")                                         \
	X(SL_E_TLS_HANDSHAKE, 'P', "TLS handshake failed")                                                   \
	X(SL_E_TLS_VERIFY, 'S', "the target's certificate was not accepted")                                 \
	X(SL_E_TLS_RECORD, 'P', "TLS record could not be read")                                              \
	X(SL_E_TLS_IDLE, 'P', "too many TLS records without data")                                           \
	X(SL_E_TLS_ALPN, 'P', "TLS without the protocol's ALPN name")                                        \
	X(SL_E_TLS_PIGGYBACK, 'P', "clear bytes sent behind the request for TLS")                            \
	X(SL_E_FLOW_QUEUE, 'P', "a flow's queue went over its hard bound")                                   \
	X(SL_E_FLOW_LIMIT, 'R', "flow limit reached")                                                        \
	X(SL_E_FLOW_LOGIN_TIMEOUT, 'P', "the client did not finish its login in time")                       \
	X(SL_E_FLOW_MESSAGE_SIZE, 'R', "message larger than the gateway reads")                              \
	X(SL_E_FLOW_MESSAGE_TIME, 'P', "a message was not whole in time, and others waited for its buffer")  \
	X(SL_E_FLOW_MEMORY, 'R', "no memory left for a session's tables")                                    \
	X(SL_E_FLOW_UNAUTH, 'R', "a connection without a login gave way to a newer one")                     \
	X(SL_E_FLOW_KILLED, 'R', "session ended by an operator")                                             \
	X(SL_E_PROTO_MALFORMED, 'P', "message malformed")                                                    \
	X(SL_E_PROTO_STATE, 'P', "message out of state")                                                     \
	X(SL_E_PROTO_UNSUPPORTED, 'P', "protocol feature that is not handled")                               \
	X(SL_E_PROTO_TARGET, 'S', "the target broke the protocol")                                           \
	X(SL_E_PROTO_TARGET_AUTH, 'S', "the target refused the stored credential")                           \
	X(SL_E_AUTH, 'R', "the caller could not be authenticated")                                           \
	X(SL_E_JWT_MALFORMED, 'R', "token is not a well-formed JWT")                                         \
	X(SL_E_JWT_ALG, 'R', "token algorithm not allowed")                                                  \
	X(SL_E_JWT_KEY, 'R', "token signed by an unknown key")                                               \
	X(SL_E_JWT_SIGNATURE, 'R', "token signature wrong")                                                  \
	X(SL_E_JWT_ISSUER, 'R', "token of an unknown issuer")                                                \
	X(SL_E_JWT_AUDIENCE, 'R', "token for another audience")                                              \
	X(SL_E_JWT_EXPIRED, 'R', "token expired")                                                            \
	X(SL_E_JWT_NOT_YET, 'R', "token not valid yet")                                                      \
	X(SL_E_JWT_CLAIMS, 'R', "token lacks a claim or has it twice")                                       \
	X(SL_E_SCRAM_MALFORMED, 'P', "SCRAM message malformed")                                              \
	X(SL_E_SCRAM_BINDING, 'P', "channel binding missing, wrong or taken away")                           \
	X(SL_E_SCRAM_AUTHZID, 'R', "SCRAM client asks for another's authorization")                          \
	X(SL_E_SCRAM_NONCE, 'P', "SCRAM message of another exchange")                                        \
	X(SL_E_SCRAM_PROOF, 'R', "password of a session credential wrong")                                   \
	X(SL_E_SCRAM_CRYPTO, 'S', "SCRAM cannot be computed")                                                \
	X(SL_E_CRED_UNKNOWN, 'R', "session credential unknown, revoked or expired")                          \
	X(SL_E_CRED_RESOURCE, 'R', "session credential used for another resource")                           \
	X(SL_E_CRED_PROVIDER, 'R', "session credential of a provider that the policy does not have")         \
	X(SL_E_CRED_LIMIT, 'R', "too many session credentials")                                              \
	X(SL_E_AUTH_THROTTLED, 'R', "too many failed logins of this source or credential")                   \
	X(SL_E_IDP_DOWN, 'S', "identity provider cannot be reached and its keys are too old")                \
	X(SL_E_POLICY_SYNTAX, 'R', "policy document malformed")                                              \
	X(SL_E_POLICY_PATTERN, 'R', "pattern cannot be compiled")                                            \
	X(SL_E_POLICY_DENIED, 'R', "denied by policy")                                                       \
	X(SL_E_POLICY_LIMIT, 'R', "over a limit of the policy")                                              \
	X(SL_E_POLICY_LOCKED, 'R', "the identity is locked by a breaker of the policy")                      \
	X(SL_E_POLICY_CHANGED, 'R', "the policy's masks changed: the session must begin again")              \
	X(SL_E_POLICY_CATALOG, 'R', "the target's catalog, which masks of columns need, cannot be read")     \
	X(SL_E_STORE_OPEN, 'S', "store cannot be opened")                                                    \
	X(SL_E_STORE_WRITE, 'S', "store cannot be written")                                                  \
	X(SL_E_STORE_CORRUPT, 'S', "store does not verify")                                                  \
	X(SL_E_STORE_LOST, 'S', "record of a worker that has died: damaged, not kept")                       \
	X(SL_E_SEAL, 'S', "sealed credential cannot be opened")

enum sl_err {
	SL_ERR_NONE = 0,
#define SL_ERR_N(name, sev, text) name##_N,
	SL_ERR_TABLE(SL_ERR_N)
#undef SL_ERR_N
	SL_ERR_COUNT,
#define SL_ERR_V(name, sev, text) name = -(name##_N),
	SL_ERR_TABLE(SL_ERR_V)
#undef SL_ERR_V
};

/* The row's name without "SL_E_", in lower case ("tcp_seq"); "ok" for >= 0, "unknown" for a code off the
 * table. */
const char *sl_err_name(int err);
/* The row's text. Static, never NULL. */
const char *sl_err_text(int err);
/* The row's severity letter. */
char sl_err_severity(int err);

#endif
