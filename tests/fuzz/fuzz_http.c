/*
 * The front door on any bytes: it returns, reads nothing outside them, and what it lets in is what
 * it says.
 *
 * A seed is the raw bytes of a request. Built with libFuzzer it searches; otherwise the seeds are
 * replayed.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/text.h"
#include "web/access.h"
#include "web/request.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

static void must(bool holds)
{
    if (!holds) {
        abort();
    }
}

/* What must hold of a request that was not refused. */
static void check_accepted(const struct request *request)
{
    char value[64];

    must(request->path[0] == '/' && request->path[1] != '/');
    must(text_is_utf8(request->path, strlen(request->path), NULL));
    must(strstr(request->path, "/../") == NULL && strstr(request->path, "/./") == NULL);
    for (const char *c = request->path; *c != '\0'; c++) {
        must((unsigned char)*c >= 0x20 && *c != 0x7f);
    }
    must(request->n_headers <= REQUEST_HEADERS_MAX);
    for (size_t i = 0; i < request->n_headers; i++) {
        must(request->headers[i].name[0] != '\0');
        must(strpbrk(request->headers[i].name, " :\r\n") == NULL);
        must(strpbrk(request->headers[i].value, "\r\n") == NULL);
    }
    must(request->body_size >= 0);
    must(request->body_size == 0 || request->method == REQUEST_POST ||
         request->method == REQUEST_PUT);
    must(request_header_count(request, "content-length") <= 1);
    must(request_header_count(request, "transfer-encoding") == 0);
    (void)request_query(request, "sort", value, sizeof(value));
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    const struct access_rules rules = {.n_hosts = 1, .hosts = {"lab.example"}, .has_token = true};
    struct request request;
    size_t scanned = 0;

    size_t size = request_head_size((const char *)bytes, n, &scanned);
    if (size == 0 || size > REQUEST_HEAD_MAX) {
        return 0;
    }
    /* The very size, so that a sanitizer sees a read past it. */
    char *head = mem_alloc(size);
    memcpy(head, bytes, size);
    struct refusal refusal = request_parse(&request, head, size);
    if (refusal.status == 0) {
        check_accepted(&request);
        refusal = access_check(&rules, &request);
        must(refusal.status != 0 || request_header(&request, "host") != NULL);
        must(access_permit(&rules, &request, true, ACCESS_HOLDER).status == 401);
    }
    must(refusal.status == 0 || refusal.why != NULL);
    free(head);
    return 0;
}
