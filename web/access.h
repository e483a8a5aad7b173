/*
 * access.h - who may ask what: Host, Origin, the bearer token.
 *
 * A page on some web site can make a browser send requests to 127.0.0.1, and a name of its own can
 * resolve to that address (DNS rebinding). The Host and Origin checks stop both. The token, 256
 * random bits, stands before everything that changes state, on loopback too; only its SHA-256 is
 * kept in memory.
 */
#ifndef WEB_ACCESS_H
#define WEB_ACCESS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/digest.h"
#include "base/err.h"
#include "web/request.h"

#define ACCESS_TOKEN_MAX 65 /* 64 hex digits and the terminator */
#define ACCESS_HOSTS_MAX 16

/* What a route asks of its caller. */
enum access_role {
    ACCESS_ANYONE, /* the page itself: its code is no secret */
    ACCESS_VIEWER, /* reads: open on loopback unless private, else with the token */
    ACCESS_HOLDER  /* changes state, or works: always with the token */
};

struct access_rules {
    unsigned char token_hash[DIGEST_SIZE];
    bool has_token; /* false: nothing that needs the token is allowed at all */
    bool private_reading;
    bool any_address_host; /* listening beyond loopback: any literal address may stand in Host */
    size_t n_hosts;        /* further host names, without port, lower case */
    const char *hosts[ACCESS_HOSTS_MAX];
};

/*
 * May this request come in at all? Checked before routing.
 *   421  not exactly one Host header, or a host that is not ours
 *   403  a foreign Origin, or the browser says the request comes from another site
 *   400  more than one Authorization header
 */
struct refusal access_check(const struct access_rules *rules, const struct request *request);

/*
 * May it use a route of this role? peer_loopback: the connection comes from this machine.
 *   401  a token is needed, or the one given is wrong
 */
struct refusal access_permit(const struct access_rules *rules, const struct request *request,
                             bool peer_loopback, enum access_role role);

/* True when the request carries the right token. Compared in constant time. */
bool access_holds_token(const struct access_rules *rules, const struct request *request);

/* "127.0.0.0/8", "::1" and the mapped form: does a numeric address stay on this machine? */
bool access_is_loopback(const char *address);

/*
 * The token of a study, from its file: made and written with mode 0600 when absent, so that a
 * restart keeps the workers' token valid. ERR_FORMAT when the file holds something else,
 * ERR_CONFLICT when others can read it.
 */
int access_token_open(const char *path, char out[ACCESS_TOKEN_MAX], struct err *err);
/* Read it only; ERR_MISSING when absent. */
int access_token_read(const char *path, char out[ACCESS_TOKEN_MAX], struct err *err);

#endif
