/*
 * access.c - who may ask what: Host, Origin, the bearer token.
 *
 * Why the host's port is not compared: what matters is the name. A page under evil.example whose
 * name was rebound to 127.0.0.1 still says "Host: evil.example", while an ssh tunnel says
 * "localhost:9000" for our port 8471 and is welcome. The Origin, when there is one, must be the
 * very host and port of Host.
 */
#include "web/access.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>
#include <sys/stat.h>

#include "base/file.h"

#define HOST_MAX 256

static const struct refusal accepted = {0, NULL};

static struct refusal refuse(int status, const char *why)
{
    return (struct refusal){status, why};
}

bool access_is_loopback(const char *address)
{
    struct in_addr four;
    struct in6_addr six;

    if (inet_pton(AF_INET, address, &four) == 1) {
        return ntohl(four.s_addr) >> 24 == 127;
    }
    if (inet_pton(AF_INET6, address, &six) != 1) {
        return false;
    }
    return IN6_IS_ADDR_LOOPBACK(&six) || (IN6_IS_ADDR_V4MAPPED(&six) && six.s6_addr[12] == 127);
}

static bool is_address(const char *host)
{
    struct in6_addr any;

    return inet_pton(AF_INET, host, &any) == 1 || inet_pton(AF_INET6, host, &any) == 1;
}

/* The name in "name", "name:port" or "[v6]:port", into out; false when it is none of these. */
static bool split_host(const char *text, char out[HOST_MAX])
{
    bool bracket = text[0] == '[';
    const char *start = bracket ? text + 1 : text;
    size_t n = strcspn(start, bracket ? "]" : ":");
    const char *rest = start + n + (bracket ? 1 : 0);

    if (n == 0 || n >= HOST_MAX || (bracket && start[n] != ']')) {
        return false;
    }
    if (rest[0] != '\0') {
        size_t digits = strspn(rest + 1, "0123456789");

        if (rest[0] != ':' || digits == 0 || digits > 5 || rest[1 + digits] != '\0') {
            return false;
        }
    }
    memcpy(out, start, n);
    out[n] = '\0';
    return true;
}

static bool host_is_ours(const struct access_rules *rules, const char *text)
{
    char name[HOST_MAX];

    if (!split_host(text, name)) {
        return false;
    }
    if (strcasecmp(name, "localhost") == 0 || access_is_loopback(name)) {
        return true;
    }
    if (rules->any_address_host && is_address(name)) {
        return true;
    }
    for (size_t i = 0; i < rules->n_hosts; i++) {
        if (strcasecmp(name, rules->hosts[i]) == 0) {
            return true;
        }
    }
    return false;
}

struct refusal access_check(const struct access_rules *rules, const struct request *request)
{
    const char *host = request_header(request, "host");
    const char *origin = request_header(request, "origin");
    const char *site = request_header(request, "sec-fetch-site");

    if (host == NULL || !host_is_ours(rules, host)) {
        return refuse(421, "the Host header must name this server, once");
    }
    if (request_header_count(request, "origin") > 0 &&
        (origin == NULL || strncmp(origin, "http://", 7) != 0 ||
         strcasecmp(origin + 7, host) != 0)) {
        return refuse(403, "the request comes from a page of another origin");
    }
    if (request_header_count(request, "sec-fetch-site") > 0 &&
        (site == NULL || strcasecmp(site, "cross-site") == 0)) {
        return refuse(403, "the request comes from another site");
    }
    if (request_header_count(request, "authorization") > 1) {
        return refuse(400, "more than one Authorization header");
    }
    return accepted;
}

/* The time taken does not depend on where the two differ. */
static bool same_hash(const unsigned char *a, const unsigned char *b)
{
    unsigned char difference = 0;

    for (size_t i = 0; i < DIGEST_SIZE; i++) {
        difference |= (unsigned char)(a[i] ^ b[i]);
    }
    return difference == 0;
}

bool access_holds_token(const struct access_rules *rules, const struct request *request)
{
    const char *value = request_header(request, "authorization");
    unsigned char hash[DIGEST_SIZE];

    if (!rules->has_token || value == NULL || strncasecmp(value, "bearer ", 7) != 0) {
        return false;
    }
    digest_of(value + 7, strlen(value + 7), hash);
    return same_hash(hash, rules->token_hash);
}

struct refusal access_permit(const struct access_rules *rules, const struct request *request,
                             bool peer_loopback, enum access_role role)
{
    bool open = role == ACCESS_ANYONE ||
                (role == ACCESS_VIEWER && peer_loopback && !rules->private_reading);

    if (open || access_holds_token(rules, request)) {
        return accepted;
    }
    return request_header_count(request, "authorization") > 0
               ? refuse(401, "the token is not the one of this study")
               : refuse(401, "this needs the study's token");
}

int access_token_read(const char *path, char out[ACCESS_TOKEN_MAX], struct err *err)
{
    struct file_bytes bytes = {0};
    struct stat facts;

    int rc = file_read(&bytes, path, 4096, err);
    if (rc != 0) {
        return err_wrap(err, "token");
    }
    while (bytes.size > 0 && strchr(" \r\n", bytes.data[bytes.size - 1]) != NULL) {
        bytes.data[--bytes.size] = '\0';
    }
    if (stat(path, &facts) != 0) {
        rc = err_set_errno(err, ERR_IO, "%s", path);
    } else if ((facts.st_mode & 077) != 0) {
        rc = err_set(err, ERR_CONFLICT,
                     "%s: others can read this token; chmod 600 it, or remove it for a new one",
                     path);
    } else if (!digest_is_hex(bytes.data)) {
        rc = err_set(err, ERR_FORMAT, "%s: expected 64 hex digits", path);
    } else {
        memcpy(out, bytes.data, ACCESS_TOKEN_MAX);
    }
    file_release(&bytes);
    return rc;
}

int access_token_open(const char *path, char out[ACCESS_TOKEN_MAX], struct err *err)
{
    unsigned char random[DIGEST_SIZE];

    if (file_exists(path)) {
        return access_token_read(path, out, err);
    }
    if (getrandom(random, sizeof(random), 0) != (ssize_t)sizeof(random)) {
        return err_set_errno(err, ERR_IO, "random numbers for a token");
    }
    char line[ACCESS_TOKEN_MAX + 1];
    digest_to_hex(random, line);
    line[ACCESS_TOKEN_MAX - 1] = '\n';
    int rc = file_write(path, line, ACCESS_TOKEN_MAX, 0600, err);
    if (rc == 0) {
        line[ACCESS_TOKEN_MAX - 1] = '\0';
        memcpy(out, line, ACCESS_TOKEN_MAX);
    }
    return rc;
}
