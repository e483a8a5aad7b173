#include "tests/evaluator/logits.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "evaluator/engine.h"
#include "tests/support/opened.h"

float *logits_of_plan(const struct plan *plan, bool streamed, const uint32_t *tokens, size_t n,
                      char digest[DIGEST_HEX])
{
    const struct trie_nodes largest = {.n = n, .depth_max = n, .n_scored = n, .n_targets = n};
    struct engine *engine =
        engine_new(streamed ? engine_bytes(plan, NUMERIC_F32, &largest, true) : 0, NUMERIC_F32);
    struct err err = {0};

    if (engine_load(engine, plan, &largest, &err) != 0) {
        fail_msg("%s", err.text);
    }
    assert_true(engine_streams(engine) == streamed);
    float *logits = opened_logits(engine_forward(engine), engine_weights(engine), tokens, n);
    assert_int_equal(engine_digest(engine, digest, &err), 0);
    engine_free(engine);
    return logits;
}

float *logits_of_folder(const char *folder, const uint32_t *tokens, size_t n,
                        char digest[DIGEST_HEX])
{
    struct opened opened = opened_folder(folder, 0);
    float *logits = opened_logits(opened.forward, opened.weights, tokens, n);

    assert_int_equal(checkpoint_weights_digest(opened.checkpoint, digest, NULL), 0);
    opened_close(&opened);
    return logits;
}
