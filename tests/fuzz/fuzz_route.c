/* Routes: what is read prints to a text that is not longer, and reads back to the same route. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "study/route.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

static void must(bool holds)
{
    if (!holds) {
        abort();
    }
}

static void check_round_trip(const struct route *route, size_t size)
{
    struct route again = {0};
    struct text text = {0};

    must(route_check(route, ROUTE_MODELS_MAX, NULL) == 0);
    route_print(&text, route);
    must(text.size <= size);
    must(route_parse(&again, text_get(&text), NULL) == 0);
    must(route_equal(route, &again));
    route_release(&again);
    text_release(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    struct route route = {0};
    struct err err = {0};
    char *text = mem_text_n((const char *)bytes, n);
    int rc = route_parse(&route, text, &err);

    if (rc == 0) {
        check_round_trip(&route, strlen(text));
        route_release(&route);
    } else {
        must(route.hops == NULL && err.code == (enum err_code)rc && err.text[0] != '\0');
    }
    free(text);
    return 0;
}
