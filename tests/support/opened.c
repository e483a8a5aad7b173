#include "tests/support/opened.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"

struct opened opened_folder(const char *path, size_t positions_max)
{
    struct opened opened = {.path = mem_text(path)};
    struct err err = {0};
    int rc = checkpoint_open(&opened.checkpoint, path, &err);

    if (rc == 0) {
        rc = weights_new(&opened.weights, checkpoint_config(opened.checkpoint), &err);
    }
    if (rc == 0) {
        rc = weights_load(opened.weights, opened.checkpoint, &err);
    }
    if (rc == 0) {
        rc =
            forward_new(&opened.forward, checkpoint_config(opened.checkpoint), positions_max, &err);
    }
    if (rc != 0) {
        fail_msg("%s: %s", path, err.text);
    }
    return opened;
}

struct opened opened_family(const char *folder, const struct family_model *model,
                            size_t positions_max)
{
    char *path = family_model_write(folder, model);
    struct opened opened = opened_folder(path, positions_max);

    free(path);
    return opened;
}

void opened_close(struct opened *opened)
{
    forward_free(opened->forward);
    weights_free(opened->weights);
    checkpoint_close(opened->checkpoint);
    free(opened->path);
}

float *opened_logits(struct forward *forward, const struct weights *weights, const uint32_t *tokens,
                     size_t n)
{
    float *logits = mem_array(n * weights_config(weights)->vocab, sizeof(float));
    struct err err = {0};

    if (forward_logits(forward, weights, tokens, n, logits, &err) != 0) {
        fail_msg("%s", err.text);
    }
    return logits;
}
