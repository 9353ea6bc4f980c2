# shellcheck shell=bash
# The OpenID provider on the management network, and its clients: the identities of the lab.

# id groups(comma) algorithm seconds
OIDC_CLIENTS='
agent-7  agents             RS256 3600
agent-8  agents             ES256 3600
alice    db-owners          ES256 3600
sam      security           RS256 3600
bob      agents,db-owners   RS256 3600
noc      noc,noc-operators  EdDSA 3600
admin    sluice-admins      RS256 3600
stranger -                  RS256 3600
bench    bench              RS256 3600
reader   readers            RS256 3600
short    agents             RS256 2
expired  agents             RS256 -120
'

oidc_config() {
	local id groups alg ttl secret
	mkdir -p "$LAB_DIR/clients"
	chmod 700 "$LAB_DIR/clients"
	{
		while read -r id groups alg ttl; do
			[[ -n $id ]] || continue
			secret=$(lab_random 24)
			lab_secret_file "$LAB_DIR/clients/$id.secret" <<<"$secret"
			jq -cn --arg id "$id" --arg secret "$secret" --arg groups "${groups#-}" --arg alg "$alg" --argjson ttl "$ttl" \
				'{$id, $secret, groups: ($groups | split(",")), $alg, $ttl}'
		done <<<"$OIDC_CLIENTS"
	} | jq -s --arg address $IP_MGMT_IDP --arg key "$LAB_PKI/idp.key" --arg cert "$LAB_PKI/idp.pem" \
		--arg url "$IDP_ISSUER" --arg furl "$IDP_FOREIGN_ISSUER" --arg dir "$LAB_DIR/idp" \
		--argjson port $IDP_PORT --argjson fport $IDP_FOREIGN_PORT \
		'{$address, $key, $cert, clients: ., issuers: [
			{$url, $port, keys: ($dir + "/keys.json")},
			{url: $furl, port: $fport, keys: ($dir + "/foreign-keys.json")}]}' |
		lab_secret_file "$LAB_DIR/idp/provider.json"
}

oidc_answers() {
	lab_in "$NS_MGMT" curl -fsS -m 2 --cacert "$LAB_CA" "$1/.well-known/openid-configuration"
}

oidc_start() {
	local node
	node=$(command -v node) || lab_die "node is missing: run tools/lab/setup"
	[[ -d $LAB_ROOT/tools/lab/oidc/node_modules/oidc-provider ]] || lab_die "oidc-provider is missing: run tools/lab/setup"
	lab_spawn "$LAB_DIR/idp/pid" "$LAB_DIR/idp/provider.log" "$NS_MGMT" \
		"$node" "$LAB_ROOT/tools/lab/oidc/provider.mjs" "$LAB_DIR/idp/provider.json"
}

oidc_ready() {
	if ! lab_wait 20 oidc_answers "$IDP_ISSUER" || ! lab_wait 5 oidc_answers "$IDP_FOREIGN_ISSUER"; then
		tail -20 "$LAB_DIR/idp/provider.log" >&2
		lab_die "the OpenID provider does not answer"
	fi
}

oidc_up() {
	mkdir -p "$LAB_DIR/idp"
	oidc_config
	oidc_start
}

oidc_stop() { lab_pid_stop "$LAB_DIR/idp/pid" "$NS_MGMT" TERM 5; }

# New keys under new names, as a provider does that rotates: old tokens are signed by nobody any more.
oidc_rotate() {
	oidc_stop
	rm -f "$LAB_DIR/idp/keys.json"
	oidc_start
	oidc_ready
}

# Prints an access token, fetched from inside the client's namespace.
oidc_token() { # CLIENT [ISSUER] [RESOURCE]
	local secret=$LAB_DIR/clients/$1.secret answer
	[[ -r $secret ]] || lab_die "no client '$1': one of $(awk 'NF {printf "%s ", $1}' <<<"$OIDC_CLIENTS")"
	answer=$(lab_in "$NS_CLIENT" curl -sS -m 10 --cacert "$LAB_CA" -K - -d grant_type=client_credentials \
		-d "resource=${3:-urn:sluice}" "${2:-$IDP_ISSUER}/token" <<<"user = \"$1:$(<"$secret")\"") ||
		lab_die "the OpenID provider cannot be reached"
	jq -er .access_token <<<"$answer" || lab_die "no token: $answer"
}
