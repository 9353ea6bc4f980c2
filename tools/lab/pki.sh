# shellcheck shell=bash
# The lab's certificate authority and the certificates under it. All of it lives and dies with the lab.

pki_ca() {
	openssl ecparam -name prime256v1 -genkey -noout | lab_secret_file "$LAB_PKI/ca.key"
	openssl req -x509 -new -key "$LAB_PKI/ca.key" -days 30 -subj "/CN=$1" -out "$LAB_CA" \
		-addext basicConstraints=critical,CA:TRUE,pathlen:0 -addext keyUsage=critical,keyCertSign,cRLSign
}

pki_issue() { # NAME IP...
	local n=$LAB_PKI/$1 names
	printf -v names ',IP:%s' "${@:2}"
	openssl ecparam -name prime256v1 -genkey -noout | lab_secret_file "$n.key"
	openssl req -new -key "$n.key" -subj "/CN=$1" |
		openssl x509 -req -CA "$LAB_CA" -CAkey "$LAB_PKI/ca.key" -days 30 -out "$n.pem" \
			-set_serial "0x$(lab_random 8)" -extfile <(
				echo "subjectAltName=${names#,}"
				echo "basicConstraints=critical,CA:FALSE"
				echo "keyUsage=critical,digitalSignature"
				echo "extendedKeyUsage=serverAuth"
			) 2>/dev/null
}

pki_up() {
	mkdir -p "$LAB_PKI"
	pki_ca "Sluice lab $LAB_PREFIX"
	pki_issue target $IP_TARGET $IP6_TARGET
	pki_issue idp $IP_MGMT_IDP
	pki_issue api $IP_MGMT_GW
	pki_issue listener $IP_GW_CLIENT $IP6_GW_CLIENT
	# A certificate for the right address from an authority that nobody trusts: what an impostor would show.
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30 -subj /CN=impostor \
		-addext "subjectAltName=IP:$IP_TARGET" -keyout "$LAB_PKI/impostor.key" -out "$LAB_PKI/impostor.pem" 2>/dev/null
	chmod 600 "$LAB_PKI/impostor.key"
	# The authority signs nothing more.
	rm -f "$LAB_PKI/ca.key"
}
