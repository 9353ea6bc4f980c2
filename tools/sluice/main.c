#include <getopt.h>
#include <locale.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "cli.h"
#include "sl_secret.h"

/* Options that only some commands take; the others take none of them. */
enum option_bit {
	OPT_NOTE = 1 << 0,
	OPT_USERNAME = 1 << 1,
	OPT_PASSWORD_FILE = 1 << 2,
	OPT_KEY = 1 << 3,
	OPT_LIMIT = 1 << 4,
	OPT_BEFORE = 1 << 5,
	OPT_STATE = 1 << 6,
	OPT_ROWS = 1 << 7,
	OPT_REMOTE = 1 << 8,
	OPT_CHECKPOINT = 1 << 9,
	OPT_AS = 1 << 10,
	OPT_RESOURCE = 1 << 11,
	OPT_DATABASE = 1 << 12,
	OPT_TIME = 1 << 13,
	OPT_STATEMENT = 1 << 14,
	OPT_AGAINST = 1 << 15,
	OPT_HOST = 1 << 16,
	OPT_PORT = 1 << 17,
	OPT_PGPASS = 1 << 18,
	OPT_TTL = 1 << 19,
	OPT_ALL = 1 << 20,
};

static const struct command {
	const char *word, *verb; /* verb NULL: the command has one word */
	int min_args, max_args;
	unsigned int options;
	int (*run)(struct cli *c);
	const char *usage, *help;
} commands[] = {
        {"status", NULL, 0, 0, 0, cmd_status, "", "what the gateway is doing"},
        {"health", NULL, 0, 0, 0, cmd_health, "", "whether it works; needs no token"},
        {"metrics", NULL, 0, 0, 0, cmd_metrics, "", "its counters in Prometheus' text form"},
        {"login", NULL, 0, 0, OPT_RESOURCE | OPT_TTL | OPT_HOST | OPT_PORT | OPT_DATABASE | OPT_PGPASS,
         cmd_login,
         "--resource R[,R...] [--ttl SECONDS] [--host H] [--port P] [--database D] [--pgpass FILE]",
         "a user name and a short password for your sessions, against your token"},
        {"logins", NULL, 0, 0, OPT_ALL, cmd_logins, "[--all]", "yours that are in force; --all: everybody's"},
        {"logout", NULL, 0, 1, OPT_PGPASS, cmd_logout, "[ID] [--pgpass FILE]",
         "revokes one, or all of yours, and ends their sessions"},
        {"resources", "ls", 0, 0, 0, cmd_resources_ls, "", "the targets"},
        {"sessions", "ls", 0, 0, OPT_LIMIT | OPT_BEFORE, cmd_sessions_ls, "[--limit N] [--before ID]",
         "sessions, newest first"},
        {"sessions", "show", 1, 1, 0, cmd_sessions_show, "ID", "a session's records, one line each"},
        {"sessions", "play", 1, 1, OPT_ROWS, cmd_sessions_play, "ID [--rows N]",
         "a session as a transcript: commands, verdicts, replies as the caller saw them"},
        {"sessions", "verify", 0, 1, 0, cmd_sessions_verify, "[ID]",
         "checks the chain of one session, or everything"},
        {"sessions", "kill", 1, 1, 0, cmd_sessions_kill, "ID", "ends a live session"},
        {"tcp", "ls", 0, 0, OPT_LIMIT, cmd_tcp_ls, "[--limit N]", "TCP connections, as ss -ti shows them"},
        {"tcp", "trace", 1, 1, 0, cmd_tcp_trace, "ID", "what happened to a connection last"},
        {"approvals", "ls", 0, 0, OPT_STATE, cmd_approvals_ls, "[--state pending|all]",
         "commands that wait for a person"},
        {"approvals", "show", 1, 1, 0, cmd_approvals_show, "ID", "one of them, whole"},
        {"approvals", "approve", 1, 1, OPT_NOTE, cmd_approvals_approve, "ID [--note TEXT]", "lets it run"},
        {"approvals", "deny", 1, 1, OPT_NOTE, cmd_approvals_deny, "ID [--note TEXT]", "refuses it"},
        {"locks", "ls", 0, 0, 0, cmd_locks_ls, "", "identities that a breaker has locked"},
        {"locks", "release", 1, 1, 0, cmd_locks_release, "ID", "lets one of them in again"},
        {"policy", "show", 0, 1, 0, cmd_policy_show, "[VERSION]", "the policy in force, or an earlier one"},
        {"policy", "versions", 0, 0, 0, cmd_policy_versions, "", "all versions"},
        {"policy", "check", 1, 256, OPT_REMOTE, cmd_policy_check, "FILE... [--remote]",
         "compiles documents without applying them (--remote: at the gateway)"},
        {"policy", "test", 1, 256, 0, cmd_policy_test, "FILE...", "runs the Test documents in them"},
        {"policy", "explain", 1, 256, OPT_AS | OPT_RESOURCE | OPT_DATABASE | OPT_TIME | OPT_STATEMENT,
         cmd_policy_explain,
         "FILE... --resource R --statement SQL [--as KEY=VALUE]... [--database D] [--time T]",
         "why a statement is allowed, denied or held (KEY: group subject provider issuer claim source)"},
        {"policy", "diff", 1, 256, OPT_AGAINST, cmd_policy_diff, "FILE... [--against FILE]",
         "what would change against the policy in force (or a file's)"},
        {"policy", "apply", 1, 256, 0, cmd_policy_apply, "FILE...",
         "makes them the policy, in place of all of the one before"},
        {"policy", "rollback", 1, 1, 0, cmd_policy_rollback, "VERSION", "applies an earlier version again"},
        {"credentials", "ls", 0, 0, 0, cmd_credentials_ls, "", "names of the targets' credentials"},
        {"credentials", "set", 1, 1, OPT_USERNAME | OPT_PASSWORD_FILE, cmd_credentials_set,
         "NAME --username U --password-file F", "seals a credential (F: - is standard input)"},
        {"credentials", "rm", 1, 1, 0, cmd_credentials_rm, "NAME", "removes it"},
        {"store", "verify", 1, 1, OPT_KEY | OPT_CHECKPOINT, cmd_store_verify,
         "PATH [--key FILE]... [--checkpoint N:HASH]", "checks a store's files, without the gateway"},
        {"store", "ls", 1, 1, OPT_LIMIT, cmd_store_ls, "PATH [--limit N]", "its sessions"},
        {"store", "show", 2, 2, 0, cmd_store_show, "PATH SESSION", "a session's records, as they are"},
};

#define USAGE_COLUMN 46 /* where the help text stands */
#define NB_COMMANDS  (sizeof(commands) / sizeof(commands[0]))

enum option_value { /* of getopt_long(), above all characters */
	VAL_SERVER = 256,
	VAL_CA,
	VAL_TOKEN_FILE,
	VAL_JSON,
	VAL_HELP,
	VAL_VERSION,
	VAL_COMMAND, /* + the option's bit, from here on */
};

static const struct option options[] = {
        {"server", required_argument, NULL, VAL_SERVER},
        {"ca", required_argument, NULL, VAL_CA},
        {"token-file", required_argument, NULL, VAL_TOKEN_FILE},
        {"json", no_argument, NULL, VAL_JSON},
        {"help", no_argument, NULL, VAL_HELP},
        {"version", no_argument, NULL, VAL_VERSION},
        {"note", required_argument, NULL, VAL_COMMAND + OPT_NOTE},
        {"username", required_argument, NULL, VAL_COMMAND + OPT_USERNAME},
        {"password-file", required_argument, NULL, VAL_COMMAND + OPT_PASSWORD_FILE},
        {"key", required_argument, NULL, VAL_COMMAND + OPT_KEY},
        {"limit", required_argument, NULL, VAL_COMMAND + OPT_LIMIT},
        {"before", required_argument, NULL, VAL_COMMAND + OPT_BEFORE},
        {"state", required_argument, NULL, VAL_COMMAND + OPT_STATE},
        {"rows", required_argument, NULL, VAL_COMMAND + OPT_ROWS},
        {"remote", no_argument, NULL, VAL_COMMAND + OPT_REMOTE},
        {"checkpoint", required_argument, NULL, VAL_COMMAND + OPT_CHECKPOINT},
        {"as", required_argument, NULL, VAL_COMMAND + OPT_AS},
        {"resource", required_argument, NULL, VAL_COMMAND + OPT_RESOURCE},
        {"database", required_argument, NULL, VAL_COMMAND + OPT_DATABASE},
        {"time", required_argument, NULL, VAL_COMMAND + OPT_TIME},
        {"statement", required_argument, NULL, VAL_COMMAND + OPT_STATEMENT},
        {"against", required_argument, NULL, VAL_COMMAND + OPT_AGAINST},
        {"host", required_argument, NULL, VAL_COMMAND + OPT_HOST},
        {"port", required_argument, NULL, VAL_COMMAND + OPT_PORT},
        {"pgpass", required_argument, NULL, VAL_COMMAND + OPT_PGPASS},
        {"ttl", required_argument, NULL, VAL_COMMAND + OPT_TTL},
        {"all", no_argument, NULL, VAL_COMMAND + OPT_ALL},
        {NULL, 0, NULL, 0},
};

static void usage(FILE *out)
{
	fputs("usage: sluice [--server URL] [--ca FILE] [--token-file FILE] [--json] COMMAND\n\n", out);
	for (size_t i = 0; i < NB_COMMANDS; i++) {
		const struct command *cmd = &commands[i];
		int n = fprintf(out, "  %s%s%s %s", cmd->word, cmd->verb == NULL ? "" : " ",
		                cmd->verb == NULL ? "" : cmd->verb, cmd->usage);

		if (n > USAGE_COLUMN - 2) {
			fputc('\n', out);
			n = 0;
		}
		fprintf(out, "%*s%s\n", USAGE_COLUMN - n, "", cmd->help);
	}
	fputs("\nSLUICE_SERVER, SLUICE_CA and SLUICE_TOKEN_FILE stand in for the options, SLUICE_TOKEN for "
	      "the token itself.\n"
	      "exit codes: 0 done, 1 refused or failed, 2 usage, 3 does not verify\n",
	      out);
}

static bool parse_number(const char *s, unsigned long *out)
{
	char *end;

	*out = strtoul(s, &end, 10);
	return s[0] >= '0' && s[0] <= '9' && *end == '\0' && *out <= 1000000;
}

static bool port_ok(const char *s)
{
	unsigned long n;

	return parse_number(s, &n) && n > 0 && n < 65536;
}

/* What goes into a URL as it is. */
static bool host_ok(const char *s)
{
	return *s != '\0' &&
	       strspn(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.-_:") == strlen(s);
}

/* Options of login and its kin. */
static bool set_login_option(struct cli *c, unsigned int bit, const char *value)
{
	switch (bit) {
	case OPT_HOST:
		c->host = value;
		return host_ok(value);
	case OPT_PORT:
		c->port = value;
		return port_ok(value);
	case OPT_PGPASS:
		c->pgpass = value;
		return true;
	case OPT_TTL:
		return parse_number(value, &c->ttl) && c->ttl > 0;
	case OPT_ALL:
		c->all = true;
		return true;
	default:
		return false;
	}
}

/* An option of a command. False: its value is not one. */
static bool set_option(struct cli *c, unsigned int bit, const char *value)
{
	switch (bit) {
	case OPT_NOTE:
		c->note = value;
		return true;
	case OPT_USERNAME:
		c->username = value;
		return true;
	case OPT_PASSWORD_FILE:
		c->password_file = value;
		return true;
	case OPT_KEY:
		if (c->nb_keys == KEYS_MAX)
			return false;
		c->key[c->nb_keys++] = value;
		return true;
	case OPT_LIMIT:
		return parse_number(value, &c->limit);
	case OPT_ROWS:
		return parse_number(value, &c->rows);
	case OPT_BEFORE:
		c->before = value;
		return true;
	case OPT_STATE:
		c->state = value;
		return true;
	case OPT_REMOTE:
		c->remote = true;
		return true;
	case OPT_CHECKPOINT:
		c->checkpoint = value;
		return true;
	case OPT_AS:
		if (c->nb_as == AS_MAX)
			return false;
		c->as[c->nb_as++] = value;
		return true;
	case OPT_RESOURCE:
		c->resource = value;
		return true;
	case OPT_DATABASE:
		c->database = value;
		return true;
	case OPT_TIME:
		c->time = value;
		return true;
	case OPT_STATEMENT:
		c->statement = value;
		return true;
	case OPT_AGAINST:
		c->against = value;
		return true;
	default:
		return set_login_option(c, bit, value);
	}
}

/* Reads all options, wherever they stand. Returns < 0 to go on, else an exit code. given: the commands'
 * options seen. */
static int parse_options(struct cli *c, int argc, char **argv, unsigned int *given)
{
	int v;

	while ((v = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		switch (v) {
		case VAL_SERVER:
			c->server = optarg;
			break;
		case VAL_CA:
			c->ca = optarg;
			break;
		case VAL_TOKEN_FILE:
			c->token_file = optarg;
			break;
		case VAL_JSON:
			c->json = true;
			break;
		case VAL_VERSION:
			puts("sluice " SLUICE_VERSION);
			return EXIT_DONE;
		case VAL_HELP:
		case 'h':
			usage(stdout);
			return EXIT_DONE;
		default:
			if (v < VAL_COMMAND) /* getopt has said what is wrong */
				return EXIT_USAGE;
			if (!set_option(c, (unsigned int)(v - VAL_COMMAND), optarg)) {
				complain("%s: not a value for this option", optarg);
				return EXIT_USAGE;
			}
			*given |= (unsigned int)(v - VAL_COMMAND);
		}
	}
	return -1;
}

static const struct command *find_command(int argc, char **argv, int at)
{
	for (size_t i = 0; at < argc && i < NB_COMMANDS; i++) {
		if (strcmp(commands[i].word, argv[at]) == 0 &&
		    (commands[i].verb == NULL ||
		     (at + 1 < argc && strcmp(commands[i].verb, argv[at + 1]) == 0)))
			return &commands[i];
	}
	return NULL;
}

static int run_command(struct cli *c, const struct command *cmd, unsigned int given)
{
	int rc;

	if (c->nb_args < cmd->min_args || c->nb_args > cmd->max_args || (given & ~cmd->options) != 0) {
		fprintf(stderr, "usage: sluice %s%s%s %s\n", cmd->word, cmd->verb == NULL ? "" : " ",
		        cmd->verb == NULL ? "" : cmd->verb, cmd->usage);
		return EXIT_USAGE;
	}
	rc = cmd->run(c);
	sl_cleanse(c->token, sizeof(c->token));
	/* A full disk behind the pipe must not look like success. */
	if (fflush(stdout) != 0 && rc == EXIT_DONE)
		rc = EXIT_FAILED;
	return rc;
}

/* Set and empty is the same as not set. */
static const char *from_env(const char *name)
{
	const char *s = getenv(name);

	return s == NULL || s[0] == '\0' ? NULL : s;
}

int main(int argc, char **argv)
{
	static struct cli c;
	const struct command *cmd;
	unsigned int given = 0;
	int rc;

	(void)setlocale(LC_CTYPE, "");
	(void)signal(SIGPIPE, SIG_IGN);
	c.server = from_env("SLUICE_SERVER");
	c.ca = from_env("SLUICE_CA");
	c.token_file = from_env("SLUICE_TOKEN_FILE");
	c.colour = isatty(STDOUT_FILENO) == 1 && getenv("NO_COLOR") == NULL;
	rc = parse_options(&c, argc, argv, &given);
	if (rc >= 0)
		return rc;
	cmd = find_command(argc, argv, optind);
	if (cmd == NULL) {
		usage(stderr);
		return EXIT_USAGE;
	}
	optind += cmd->verb == NULL ? 1 : 2;
	c.arg = argv + optind;
	c.nb_args = argc - optind;
	return run_command(&c, cmd, given);
}
