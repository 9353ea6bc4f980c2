# shellcheck shell=bash
# A real PostgreSQL 15 in the target's namespace: TLS, SCRAM, and only the gateway's address may come in.
# Its data is made up and thrown away, so it does not wait for the disk.

pg_config() {
	cat >>"$LAB_PG/data/postgresql.conf" <<-END
		listen_addresses = '$1'
		port = 5432
		unix_socket_directories = '$LAB_PG/socket'
		max_connections = 200
		ssl = on
		ssl_cert_file = '$LAB_PG/server.pem'
		ssl_key_file = '$LAB_PG/server.key'
		ssl_min_protocol_version = 'TLSv1.2'
		password_encryption = 'scram-sha-256'
		fsync = off
		full_page_writes = off
		shared_buffers = 128MB
		max_wal_size = 512MB
		log_line_prefix = '%m [%p] user=%u db=%d host=%h '
		log_connections = on
		log_disconnections = on
	END
	cat >"$LAB_PG/data/pg_hba.conf" <<-END
		local   all postgres peer map=lab
		local   all shop_app scram-sha-256
		hostssl all shop_app $IP_GW_TARGET/32 scram-sha-256
		hostssl all shop_app $IP6_GW_TARGET/128 scram-sha-256
	END
	if [[ ${LAB_BENCH:-0} == 1 ]]; then
		echo "hostssl all shop_app $IP_PEER_GW_T/32 scram-sha-256" >>"$LAB_PG/data/pg_hba.conf"
		echo "hostssl all shop_app $IP_PEER_CLIENT/32 scram-sha-256" >>"$LAB_PG/data/pg_hba.conf"
		echo "hostssl all shop_app $IP_DIRECT_CLIENT/32 scram-sha-256" >>"$LAB_PG/data/pg_hba.conf"
	fi
	printf 'lab root postgres\nlab postgres postgres\n' >"$LAB_PG/data/pg_ident.conf"
}

pg_cert() { # NAME of the certificate it shows
	install -o postgres -g postgres -m 600 "$LAB_PKI/$1.key" "$LAB_PG/server.key"
	install -o postgres -g postgres -m 644 "$LAB_PKI/$1.pem" "$LAB_PG/server.pem"
}

pg_ready() { lab_in "$NS_TARGET" "$LAB_PG_BIN/pg_isready" -q -h "$LAB_PG/socket"; }

# The superuser's psql over the local socket: what really is in the database, without the gateway.
pg_admin() { # psql arguments
	lab_in "$NS_TARGET" psql -X -q -v ON_ERROR_STOP=1 -h "$LAB_PG/socket" -U postgres "$@"
}

# Any client program as the application's user over the local socket: the direct run that others are compared with.
pg_direct() { # COMMAND...
	PGPASSWORD=$(<"$LAB_DIR/shop_app.password") PGHOST=$LAB_PG/socket PGUSER=shop_app lab_in "$NS_TARGET" "$@"
}

pg_ctl_run() {
	lab_in "$NS_TARGET" runuser -u postgres -- "$LAB_PG_BIN/pg_ctl" -D "$LAB_PG/data" "$@"
}

pg_start() {
	pg_ctl_run -s -w -t 30 -l "$LAB_PG/log" start >/dev/null || {
		tail -20 "$LAB_PG/log" >&2
		lab_die "PostgreSQL does not start"
	}
}

pg_stop() { # [MODE] fast or immediate
	pg_ctl_run -s -w -t 20 -m "${1:-fast}" stop >/dev/null 2>&1 || true
}

pg_init() {
	local addresses=$IP_TARGET,$IP6_TARGET
	[[ -x $LAB_PG_BIN/initdb ]] || lab_die "PostgreSQL 15 is missing: run tools/lab/setup"
	mkdir -p "$LAB_PG"
	install -d -o postgres -g postgres -m 700 "$LAB_PG/data" "$LAB_PG/socket"
	install -o postgres -g postgres -m 640 /dev/null "$LAB_PG/log"
	pg_cert target
	(cd / && runuser -u postgres -- "$LAB_PG_BIN/initdb" -D "$LAB_PG/data" -U postgres -E UTF8 --locale=C.UTF-8 \
		--auth=peer --no-sync --no-instructions >"$LAB_PG/initdb.log") || lab_die "initdb failed: see $LAB_PG/initdb.log"
	if [[ ${LAB_BENCH:-0} == 1 ]]; then
		addresses+=",$IP_PEER_TARGET,$IP_DIRECT_TARGET"
	fi
	pg_config "$addresses"
}

pg_load() {
	lab_random 18 | lab_secret_file "$LAB_DIR/shop_app.password"
	SHOP_APP_PASSWORD=$(<"$LAB_DIR/shop_app.password") pg_admin -d postgres -f "$LAB_ROOT/tools/lab/sql/cluster.sql"
	pg_admin -d shop -f "$LAB_ROOT/tools/lab/sql/extensions.sql"
	pg_direct psql -X -q -v ON_ERROR_STOP=1 -d shop -f "$LAB_ROOT/tools/lab/sql/shop.sql"
}

# Restores the sample data: for tests that start from a known state.
pg_reload() {
	pg_direct psql -X -q -v ON_ERROR_STOP=1 -d shop -f "$LAB_ROOT/tools/lab/sql/shop.sql"
}
