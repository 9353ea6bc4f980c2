# shellcheck shell=bash
# What all parts of the lab share: names, places, small helpers. Sourced, never run.
# LAB_PREFIX names one lab: several can stand side by side, each with its own namespaces and folder.

LAB_PREFIX=${LAB_PREFIX:-sl}
if [[ ! $LAB_PREFIX =~ ^[a-z][a-z0-9]{0,11}$ ]]; then
	echo "lab: LAB_PREFIX must be up to 12 lower-case letters and digits" >&2
	exit 2
fi
LAB_ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
LAB_BASE=/var/lib/sluice-lab
LAB_DIR=$LAB_BASE/$LAB_PREFIX
# shellcheck disable=SC2034
{
	LAB_BUILD=${LAB_BUILD:-$LAB_ROOT/build}
	LAB_PKI=$LAB_DIR/pki
	LAB_CA=$LAB_PKI/ca.pem
	LAB_PG_BIN=/usr/lib/postgresql/15/bin
	LAB_PG=$LAB_DIR/pg
	LAB_GW=$LAB_DIR/gw

	NS_CLIENT=$LAB_PREFIX-client
	NS_TARGET=$LAB_PREFIX-target
	NS_GW=$LAB_PREFIX-gw
	NS_MGMT=$LAB_PREFIX-mgmt

	IP_MGMT_GW=10.99.0.1 IP_MGMT_IDP=10.99.0.2 IP_MGMT_CLIENT=10.99.0.3
	IP_CLIENT=10.99.1.2 IP_GW_CLIENT=10.99.1.1
	IP_TARGET=10.99.2.2 IP_GW_TARGET=10.99.2.1
	# The same wires with IPv6.
	IP6_CLIENT=fd99:1::2 IP6_GW_CLIENT=fd99:1::1
	IP6_TARGET=fd99:2::2 IP6_GW_TARGET=fd99:2::1
	# Only with LAB_BENCH=1: kernel addresses for the peers that sluiced is compared with, and a direct wire.
	IP_PEER_CLIENT=10.99.3.2 IP_PEER_GW_C=10.99.3.1
	IP_PEER_TARGET=10.99.4.2 IP_PEER_GW_T=10.99.4.1
	IP_DIRECT_CLIENT=10.99.5.2 IP_DIRECT_TARGET=10.99.5.1

	IDP_PORT=9443 IDP_FOREIGN_PORT=9444
	IDP_ISSUER=https://$IP_MGMT_IDP:$IDP_PORT
	IDP_FOREIGN_ISSUER=https://$IP_MGMT_IDP:$IDP_FOREIGN_PORT
	API_URL=https://$IP_MGMT_GW:8443
}

lab_say() { echo "lab: $*" >&2; }
lab_die() {
	echo "lab: $*" >&2
	exit 1
}

lab_need_root() {
	[[ $(id -u) -eq 0 ]] || lab_die "must run as root (it makes network namespaces)"
}

lab_in() { # NAMESPACE COMMAND...
	ip netns exec "$@"
}

# Starts a daemon. exec, all the way down: the pid that is kept is the program's own.
lab_spawn() { # PIDFILE LOGFILE NAMESPACE COMMAND...
	local pidfile=$1 log=$2
	shift 2
	(exec ip netns exec "$1" setsid "${@:2}" >>"$log" 2>&1 </dev/null) &
	echo $! >"$pidfile"
	# Until ip has moved it into the namespace, it would look like somebody else's.
	lab_wait 2 lab_pid_alive "$pidfile" "$1" || true
}

lab_random() { # BYTES -> hex on stdout
	od -An -v -tx1 -N "$1" /dev/urandom | tr -d ' \n'
}

# Writes stdin to a file that only root reads. The mode is set before a byte is in it.
lab_secret_file() { # FILE
	(umask 077 && cat >"$1")
}

# Calls a command until it succeeds: at most SECONDS, ten times a second.
lab_wait() { # SECONDS COMMAND...
	local n=$(($1 * 10))
	shift
	while ! "$@" >/dev/null 2>&1; do
		((n-- > 0)) || return 1
		sleep 0.1
	done
}

lab_ns_exists() { [[ -e /run/netns/$1 ]]; }

# True when the pid in FILE is alive and stands in NAMESPACE: a pid that was taken by somebody else is not ours.
lab_pid_alive() { # PIDFILE NAMESPACE
	local pid
	[[ -s $1 ]] || return 1
	pid=$(<"$1")
	[[ $pid =~ ^[0-9]+$ && -d /proc/$pid ]] || return 1
	[[ $(ip netns identify "$pid" 2>/dev/null) == "$2" ]]
}

lab_pid_stop() { # PIDFILE NAMESPACE SIGNAL SECONDS
	local pid
	lab_pid_alive "$1" "$2" || {
		rm -f "$1"
		return 0
	}
	pid=$(<"$1")
	kill "-$3" "$pid" 2>/dev/null || true
	if ! lab_wait "$4" lab_pid_gone "$pid"; then
		kill -KILL "$pid" 2>/dev/null || true
		lab_wait 5 lab_pid_gone "$pid" || true
	fi
	rm -f "$1"
}

lab_pid_gone() {
	local state
	[[ -d /proc/$1 ]] || return 0
	state=$(sed -n 's/^State:\t\(.\).*/\1/p' "/proc/$1/status" 2>/dev/null) || return 0
	[[ -z $state || $state == Z ]]
}
