# shellcheck shell=bash
# Namespaces and wires. The gateway's data ports are veth ends without a kernel address; what comes in on them is
# dropped behind the packet socket, so that only the DPDK process ever answers.

net_veth() { # NS1 IF1 NS2 IF2
	ip link add "$2" netns "$1" type veth peer name "$4" netns "$3"
}

# Whether the peers leave checksums and segments to their devices, as Linux does. A port with an impairment wants packets
# as they are on the wire.
net_offloads() { # on|off
	local ns
	for ns in "$NS_CLIENT" "$NS_TARGET"; do
		lab_in "$ns" ethtool -K data0 tx "$1" tso "$1" gso "$1" >/dev/null 2>&1 || lab_die "cannot switch the offloads of data0 $1"
	done
}

# Receive work of a kernel peer goes to the first core: the last one is the worker's.
net_rps() { # NS IF
	lab_in "$1" sh -c "echo 1 >/sys/class/net/$2/queues/rx-0/rps_cpus" 2>/dev/null || true
}

net_address() { # NS IF ADDRESS/LENGTH
	ip -n "$1" address add "$3" dev "$2"
	ip -n "$1" link set "$2" up
}

net_data_port() { # IF: a port of the DPDK process
	lab_in "$NS_GW" sysctl -qw "net.ipv6.conf.$1.disable_ipv6=1"
	ip -n "$NS_GW" link set "$1" arp off up
	lab_in "$NS_GW" nft -f - <<-END
		table netdev data_$1 {
			chain ingress { type filter hook ingress device "$1" priority 0; policy drop; }
		}
	END
}

net_bench_up() {
	net_veth "$NS_CLIENT" peer0 "$NS_GW" pc0
	net_veth "$NS_TARGET" peer0 "$NS_GW" pt0
	net_veth "$NS_CLIENT" direct0 "$NS_TARGET" direct0
	net_address "$NS_CLIENT" peer0 $IP_PEER_CLIENT/24
	net_address "$NS_GW" pc0 $IP_PEER_GW_C/24
	net_address "$NS_TARGET" peer0 $IP_PEER_TARGET/24
	net_address "$NS_GW" pt0 $IP_PEER_GW_T/24
	net_address "$NS_CLIENT" direct0 $IP_DIRECT_CLIENT/24
	net_address "$NS_TARGET" direct0 $IP_DIRECT_TARGET/24
}

net_up() {
	local ns
	for ns in "$NS_CLIENT" "$NS_TARGET" "$NS_GW" "$NS_MGMT"; do
		ip netns add "$ns"
		ip -n "$ns" link set lo up
		lab_in "$ns" sysctl -qw net.ipv4.ip_forward=0
	done
	net_veth "$NS_CLIENT" data0 "$NS_GW" c0
	net_veth "$NS_TARGET" data0 "$NS_GW" t0
	net_rps "$NS_CLIENT" data0
	net_rps "$NS_TARGET" data0
	net_data_port c0
	net_data_port t0
	net_address "$NS_CLIENT" data0 $IP_CLIENT/24
	net_address "$NS_TARGET" data0 $IP_TARGET/24
	ip -n "$NS_CLIENT" address add $IP6_CLIENT/64 dev data0 nodad
	ip -n "$NS_TARGET" address add $IP6_TARGET/64 dev data0 nodad

	ip -n "$NS_MGMT" link add br0 type bridge
	net_address "$NS_MGMT" br0 $IP_MGMT_IDP/24
	net_veth "$NS_GW" mgmt0 "$NS_MGMT" gw0
	net_veth "$NS_CLIENT" mgmt0 "$NS_MGMT" client0
	ip -n "$NS_MGMT" link set gw0 master br0 up
	ip -n "$NS_MGMT" link set client0 master br0 up
	net_address "$NS_GW" mgmt0 $IP_MGMT_GW/24
	net_address "$NS_CLIENT" mgmt0 $IP_MGMT_CLIENT/24
	if [[ ${LAB_BENCH:-0} == 1 ]]; then
		net_bench_up
	fi
}

# Ends what runs inside the namespaces (and nothing else), then removes them.
net_down() {
	local ns pids i
	for ns in "$NS_GW" "$NS_CLIENT" "$NS_MGMT" "$NS_TARGET"; do
		lab_ns_exists "$ns" || continue
		for i in TERM TERM KILL; do
			pids=$(ip netns pids "$ns" 2>/dev/null) || pids=
			[[ -n $pids ]] || break
			# shellcheck disable=SC2086
			kill -$i $pids 2>/dev/null || true
			lab_wait 3 net_empty "$ns" || true
		done
		ip netns delete "$ns" 2>/dev/null || rm -f "/run/netns/$ns"
	done
}

net_empty() { [[ -z $(ip netns pids "$1" 2>/dev/null) ]]; }
