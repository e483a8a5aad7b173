/* adapter_config.json: what is accepted gives every module a scale, or a sentence why not. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "evaluator/model/adapter_config.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

static void must(bool holds)
{
    if (!holds) {
        abort();
    }
}

static void check(const struct adapter_config *config)
{
    static const char *const modules[] = {"model.layers.0.self_attn.q_proj", "lm_head", "a",
                                          "model.layers.11.mlp.up_proj"};

    must(config->rank >= 1);
    for (size_t i = 0; i < sizeof(modules) / sizeof(modules[0]); i++) {
        struct err err = {0};
        double scale = 0;
        const int rc = adapter_config_scale(config, modules[i], (size_t)config->rank, &scale, &err);

        must(rc == 0 || (rc == ERR_CONFLICT && err.text[0] != '\0'));
        (void)adapter_config_targets(config, modules[i]);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    struct adapter_config config = {0};
    json_t *doc = NULL;

    if (doc_parse(&doc, (const char *)bytes, n, NULL) != 0) {
        return 0;
    }
    struct err err = {0};
    const int rc = adapter_config_parse(&config, doc, &err);
    json_decref(doc);
    if (rc != 0) {
        must(rc == ERR_FORMAT || rc == ERR_MISSING || rc == ERR_LIMIT || rc == ERR_MEMORY);
        must(err.text[0] != '\0' && strchr(err.text, '\n') == NULL);
        must(config.targets == NULL && config.alphas == NULL && config.ranks == NULL);
        return 0;
    }
    check(&config);
    adapter_config_release(&config);
    return 0;
}
