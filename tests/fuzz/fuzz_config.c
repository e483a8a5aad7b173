/* config.json: what is accepted has a table of tensors whose names lead back and whose sizes fit.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "evaluator/model/config.h"
#include "evaluator/model/tensors.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

static void must(bool holds)
{
    if (!holds) {
        abort();
    }
}

static void check_tensor(const struct config *config, size_t i)
{
    struct tensor_place place, found;
    size_t size = sizeof(float);

    tensors_at(config, i, &place);
    must(tensors_find(config, place.name, &found));
    must(found.role == place.role && found.layer == place.layer && found.n_dims == place.n_dims);
    for (size_t d = 0; d < place.n_dims; d++) {
        must(place.dims[d] > 0 && mem_multiply(size, place.dims[d], &size));
    }
}

/* All tensors of a few layers at either end. */
static void check(const struct config *config)
{
    const size_t n = tensors_count(config);
    const size_t some = n < 64 ? n : 64;
    struct err err = {0};

    must(config_equal(config, config));
    for (size_t i = 0; i < some; i++) {
        check_tensor(config, i);
        check_tensor(config, n - 1 - i);
    }
    for (uint32_t layer = 0; layer < config->n_layers; layer++) {
        (void)config_window(config, layer);
    }
    must(config_runnable(config, &err) == 0 || err.text[0] != '\0');
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    struct config config;
    struct err err = {0};
    json_t *doc = NULL;

    if (doc_parse(&doc, (const char *)bytes, n, NULL) != 0) {
        return 0;
    }
    const int rc = config_parse(&config, doc, doc, &err);
    json_decref(doc);
    if (rc != 0) {
        must(rc == ERR_FORMAT || rc == ERR_MISSING || rc == ERR_LIMIT);
        must(err.text[0] != '\0' && strchr(err.text, '\n') == NULL);
        return 0;
    }
    check(&config);
    return 0;
}
