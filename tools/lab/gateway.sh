# shellcheck shell=bash
# sluiced in its namespace: configuration, policy, start, stop. Nothing here knows more than the manual says.
# GW_WORKERS, GW_POLL, GW_LOGIN_TIMEOUT, GW_CORE: for runs that want other than one worker, adaptive polling and 5 s;
# GW_CORE puts everything on one core. GW_SESSIONS: sessions of a worker (1024). GW_CLEAR:
# a port for logins without TLS. GW_ECHO: a port of the test service echo. GW_TCP, and GW_IMPAIR_CLIENT and
# GW_IMPAIR_TARGET, or GW_IMPAIR for both: what stands between the braces of `tcp` and of a port's `impairment`
# (docs/configuration.md).

gw_config() {
	local workers=${GW_WORKERS:-1} poll=${GW_POLL:-adaptive}
	local impair_client=${GW_IMPAIR_CLIENT:-${GW_IMPAIR:-}} impair_target=${GW_IMPAIR_TARGET:-${GW_IMPAIR:-}}
	cat >"$LAB_GW/sluiced.yaml" <<-END
		eal: ["--no-huge", "-m", "$((384 + 128 * workers))", "--no-shconf", "--file-prefix=sluice-lab-$LAB_PREFIX", "--no-pci", "--no-telemetry"]
		workers: $workers
		poll: $poll
		ports:
		  - device: kernel:c0
		    addresses: [$IP_GW_CLIENT/24, "$IP6_GW_CLIENT/64"]
		    ${impair_client:+impairment: { $impair_client \}}
		  - device: kernel:t0
		    addresses: [$IP_GW_TARGET/24, "$IP6_GW_TARGET/64"]
		    ${impair_target:+impairment: { $impair_target \}}
		listeners:
		  - name: postgres
		    protocol: postgres
		    address: $IP_GW_CLIENT:5432
		    tls:
		      certFile: $LAB_PKI/listener.pem
		      keyFile: $LAB_PKI/listener.key
		  - name: postgres6
		    protocol: postgres
		    address: "[$IP6_GW_CLIENT]:5432"
		    tls:
		      certFile: $LAB_PKI/listener.pem
		      keyFile: $LAB_PKI/listener.key
		  ${GW_ECHO:+- { name: echo, protocol: echo, address: "$IP_GW_CLIENT:$GW_ECHO", insecure: true \}}
		  ${GW_CLEAR:+- { name: clear, protocol: postgres, address: "$IP_GW_CLIENT:$GW_CLEAR", insecure: true \}}
		management:
		  listen: $IP_MGMT_GW:8443
		  tls:
		    certFile: $LAB_PKI/api.pem
		    keyFile: $LAB_PKI/api.key
		  masterKeyFile: $LAB_GW/master.key
		  policyBootstrap: $LAB_GW/policy.d
		store:
		  path: $LAB_GW/store
		  signKeyFile: $LAB_GW/checkpoint.key
		  size: 4G
		limits:
		  sessions: ${GW_SESSIONS:-1024}
		  messageBytes: 1M
		  loginTimeout: ${GW_LOGIN_TIMEOUT:-5s}
		  catalogAge: ${GW_CATALOG_AGE:-60s}
		  replyRecordBytes: 1M
		${GW_TCP:+tcp: { $GW_TCP \}}
	END
	if [[ -n ${GW_CORE:-} ]]; then
		printf 'mainCore: %s\ncores: [%s]\n' "$GW_CORE" "$GW_CORE" >>"$LAB_GW/sluiced.yaml"
	fi
}

gw_policy() {
	mkdir -p "$LAB_GW/policy.d"
	# LAB_POLICY names further documents, for tests.
	cat "$LAB_ROOT/tools/lab/policy.yaml" ${LAB_POLICY:+"$LAB_POLICY"} |
		sed -e "s|@ISSUER@|$IDP_ISSUER|" -e "s|@CA@|$LAB_CA|" -e "s|@TARGET@|$IP_TARGET|" -e "s|@TARGET6@|$IP6_TARGET|" >"$LAB_GW/policy.d/lab.yaml"
}

gw_prepare() {
	mkdir -p "$LAB_GW"
	chmod 700 "$LAB_GW"
	[[ -s $LAB_GW/master.key ]] || lab_random 32 | lab_secret_file "$LAB_GW/master.key"
	gw_config
	gw_policy
	if [[ -n ${GW_IMPAIR_CLIENT:-}${GW_IMPAIR_TARGET:-}${GW_IMPAIR:-} ]]; then net_offloads off; else net_offloads on; fi
}

gw_alive() { lab_pid_alive "$LAB_GW/pid" "$NS_GW"; }

gw_ready_or_dead() {
	! gw_alive || tail -c "+$((gw_log_start + 1))" "$LAB_GW/log" | grep -q '^sluiced: ready'
}

gw_start() {
	local gw_log_start=0
	[[ -x $LAB_BUILD/app/sluiced ]] || lab_die "$LAB_BUILD/app/sluiced is missing: build it first"
	lab_ns_exists "$NS_GW" || lab_die "no lab is up: tools/lab/lab up"
	if gw_alive; then
		lab_say "sluiced runs already"
		return 0
	fi
	gw_prepare
	[[ ! -f $LAB_GW/log ]] || gw_log_start=$(stat -c %s "$LAB_GW/log")
	lab_spawn "$LAB_GW/pid" "$LAB_GW/log" "$NS_GW" "$LAB_BUILD/app/sluiced" --config "$LAB_GW/sluiced.yaml"
	if ! lab_wait 30 gw_ready_or_dead || ! gw_alive; then
		tail -30 "$LAB_GW/log" >&2
		lab_die "sluiced does not start (log: $LAB_GW/log)"
	fi
	if [[ ! -e $LAB_GW/credential-set ]]; then
		cli_as admin credentials set shop-app --username shop_app --password-file "$LAB_DIR/shop_app.password" >/dev/null ||
			lab_die "the credential could not be set"
		: >"$LAB_GW/credential-set"
	fi
}

gw_stop() { lab_pid_stop "$LAB_GW/pid" "$NS_GW" TERM 15; }
gw_kill() { lab_pid_stop "$LAB_GW/pid" "$NS_GW" KILL 5; }

# The CLI as somebody, from inside the client's namespace, with a fresh token.
cli_as() { # CLIENT ARGUMENTS...
	local token rc=0
	token=$(mktemp "$LAB_DIR/token.XXXXXX")
	oidc_token "$1" >"$token" || {
		rm -f "$token"
		return 1
	}
	shift
	lab_in "$NS_CLIENT" "$LAB_BUILD/tools/sluice/sluice" --server "$API_URL" --ca "$LAB_CA" --token-file "$token" "$@" || rc=$?
	rm -f "$token"
	return $rc
}
