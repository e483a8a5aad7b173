#include "evaluator/model/weights.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "tests/support/twin.h"

#define MODELS TESTS_DIR "/../study/examples/models/"

static struct weights *fresh(const struct config *config)
{
    struct weights *weights = NULL;
    struct err err;

    assert_int_equal(weights_new(&weights, config, &err), 0);
    return weights;
}

/* Ask for every slot but those of one role. */
static void ask_for_all_but(struct weights *weights, const struct config *config,
                            enum tensor_role left_out)
{
    for (size_t i = 0; i < tensors_count(config); i++) {
        struct tensor_place place;

        tensors_at(config, i, &place);
        if (place.role != left_out) {
            assert_non_null(weights_slot(weights, place.role, place.layer));
        }
    }
}

static void what_one_product_reads_stands_together(void **state)
{
    (void)state;
    struct config config = twin_config();

    config.n_kv_heads = 2;
    config.qkv_bias = config.mlp_bias = true;
    struct weights *weights = fresh(&config);
    const struct weights_layer *layer = weights_layer(weights, 1);
    float *q = weights_slot(weights, TENSOR_Q, 1);

    assert_ptr_equal(layer->qkv, q);
    assert_ptr_equal(weights_slot(weights, TENSOR_K, 1), q + 48 * 48);
    assert_ptr_equal(weights_slot(weights, TENSOR_V, 1), q + (48 + 16) * 48);
    assert_ptr_equal(weights_slot(weights, TENSOR_K_BIAS, 1), layer->qkv_bias + 48);
    assert_ptr_equal(weights_slot(weights, TENSOR_V_BIAS, 1), layer->qkv_bias + 48 + 16);
    assert_ptr_equal(weights_slot(weights, TENSOR_GATE, 1), layer->gate_up);
    assert_ptr_equal(weights_slot(weights, TENSOR_UP, 1), layer->gate_up + 40 * 48);
    assert_ptr_equal(weights_slot(weights, TENSOR_UP_BIAS, 1), layer->gate_up_bias + 40);
    assert_true((uintptr_t)layer->down % 64 == 0);
    weights_free(weights);
}

static void slots_do_not_overlap(void **state)
{
    (void)state;
    struct config config = twin_config();

    config.n_kv_heads = 3;
    config.qkv_bias = config.out_bias = config.mlp_bias = true;
    struct weights *weights = fresh(&config);

    for (int pass = 0; pass < 2; pass++) {
        for (size_t i = 0; i < tensors_count(&config); i++) {
            struct tensor_place place;

            tensors_at(&config, i, &place);
            size_t n = place.dims[0] * (place.n_dims == 2 ? place.dims[1] : 1);
            float *slot = weights_slot(weights, place.role, place.layer);
            for (size_t j = 0; j < n; j++) {
                assert_true(pass == 0 || slot[j] == (float)i);
                slot[j] = (float)i;
            }
        }
    }
    weights_free(weights);
}

static void a_tensor_that_the_model_lacks_has_no_slot(void **state)
{
    (void)state;
    struct config config = twin_config();

    config.tied = true;
    struct weights *weights = fresh(&config);

    assert_null(weights_slot(weights, TENSOR_HEAD, 0));
    assert_null(weights_slot(weights, TENSOR_Q_BIAS, 0));
    assert_null(weights_slot(weights, TENSOR_Q, 3));
    assert_null(weights_slot(weights, TENSOR_UNKNOWN, 0));
    assert_null(weights_layer(weights, 0)->qkv_bias);
    assert_null(weights_layer(weights, 0)->down_bias);
    assert_ptr_equal(weights_head_rows(weights, 3, 1, NULL),
                     weights_embedding_rows(weights, 3, 1, NULL));
    weights_free(weights);
}

static void binding_names_a_tensor_without_values(void **state)
{
    (void)state;
    const struct config config = twin_config();
    struct weights *weights = fresh(&config);
    struct err err;

    ask_for_all_but(weights, &config, TENSOR_DOWN);
    assert_int_equal(weights_bind(weights, &err), ERR_MISSING);
    assert_string_equal(err.text,
                        "candidate: no values for tensor model.layers.0.mlp.down_proj.weight");
    ask_for_all_but(weights, &config, TENSOR_HEAD);
    assert_int_equal(weights_bind(weights, &err), ERR_MISSING);
    assert_string_equal(err.text, "candidate: no values for tensor lm_head.weight");
    ask_for_all_but(weights, &config, TENSOR_UNKNOWN);
    assert_int_equal(weights_bind(weights, &err), 0);
    weights_free(weights);
}

static void every_candidate_starts_unfilled(void **state)
{
    (void)state;
    const struct config config = twin_config();
    struct weights *weights = fresh(&config);

    ask_for_all_but(weights, &config, TENSOR_UNKNOWN);
    assert_int_equal(weights_bind(weights, NULL), 0);
    assert_int_equal(weights_bind(weights, NULL), ERR_MISSING);
    weights_free(weights);
}

static void a_parent_is_loaded_as_it_is_stored(void **state)
{
    (void)state;
    struct checkpoint *checkpoint = NULL;
    struct err err;

    assert_int_equal(checkpoint_open(&checkpoint, MODELS "adder", &err), 0);
    struct weights *weights = fresh(checkpoint_config(checkpoint));
    assert_int_equal(weights_load(weights, checkpoint, &err), 0);
    const struct checkpoint_tensor *up = checkpoint_role(checkpoint, TENSOR_UP, 5);
    float *stored = mem_array(up->n_elements, sizeof(float));
    dtype_to_f32(stored, up->data, up->dtype, up->n_elements);
    assert_memory_equal(weights_layer(weights, 5)->gate_up + up->n_elements, stored,
                        up->n_elements * sizeof(float));
    free(stored);
    weights_free(weights);
    checkpoint_close(checkpoint);
}

static void a_parent_of_another_shape_is_refused(void **state)
{
    (void)state;
    const struct config config = twin_config();
    struct checkpoint *checkpoint = NULL;
    struct weights *weights = fresh(&config);
    struct err err;

    assert_int_equal(checkpoint_open(&checkpoint, MODELS "adder", &err), 0);
    assert_int_equal(weights_load(weights, checkpoint, &err), ERR_CONFLICT);
    weights_free(weights);
    checkpoint_close(checkpoint);
}

/* ---- streamed ---- */

/* Fills every tensor of a stage but one role with the stage's number. */
struct filler {
    struct weights *weights;
    struct config config;
    enum tensor_role left_out;
    size_t calls;
};

static int fill(void *context, uint32_t stage, struct err *err)
{
    struct filler *filler = context;

    (void)err;
    filler->calls++;
    for (size_t i = 0; i < tensors_count(&filler->config); i++) {
        struct tensor_place place;

        tensors_at(&filler->config, i, &place);
        if (place.role != filler->left_out &&
            weights_in_stage(&filler->config, place.role, place.layer, stage)) {
            weights_slot(filler->weights, place.role, place.layer)[0] = (float)stage;
        }
    }
    return 0;
}

static void open_filler(struct filler *filler, bool tied)
{
    const struct weights_source source = {.fill = fill, .context = filler};

    *filler = (struct filler){.config = twin_config(), .left_out = TENSOR_UNKNOWN};
    filler->config.tied = tied;
    assert_int_equal(
        weights_new_streamed(&filler->weights, &filler->config, DTYPE_F32, &source, NULL), 0);
}

static void stages_take_turns_in_one_place(void **state)
{
    (void)state;
    for (int tied = 0; tied < 2; tied++) {
        struct filler filler;

        open_filler(&filler, tied != 0);
        const struct weights *weights = filler.weights;
        assert_ptr_equal(weights_layer(weights, 0)->qkv, weights_layer(weights, 2)->qkv);
        for (uint32_t stage = 0; stage < 5; stage++) {
            assert_int_equal(weights_stage(weights, stage, NULL), 0);
            assert_int_equal(weights_stage(weights, stage, NULL), 0); /* present already */
            assert_int_equal(filler.calls, stage + 1);
            if (stage == 0) {
                assert_true(weights_embedding_rows(weights, 0, 1, NULL)[0] == 0.0F);
            } else if (stage < 4) {
                assert_true(weights_layer(weights, stage - 1)->down[0] == (float)stage);
            } else {
                assert_true(weights_final_norm(weights)[0] == 4.0F);
                assert_true(weights_head_rows(weights, 0, 1, NULL)[0] == 4.0F);
                assert_ptr_not_equal(weights_final_norm(weights),
                                     weights_head_rows(weights, 0, 1, NULL));
            }
        }
        weights_renew(filler.weights);
        assert_int_equal(weights_stage(weights, 4, NULL), 0);
        assert_int_equal(filler.calls, 6);
        assert_true(weights_bytes_streamed(&filler.config, DTYPE_F32) <
                    weights_bytes(&filler.config));
        weights_free(filler.weights);
    }
}

/* Every element of a matrix is its place; layers are left as they are. */
static int fill_stored(void *context, uint32_t stage, struct err *err)
{
    struct filler *filler = context;
    const size_t n = (size_t)filler->config.vocab * filler->config.width;
    float *values = mem_array(n, sizeof *values);

    (void)err;
    for (size_t i = 0; i < n; i++) {
        values[i] = (float)(i % 256 + 1000 * stage);
    }
    for (size_t i = 0; i < tensors_count(&filler->config); i++) {
        struct tensor_place place;

        tensors_at(&filler->config, i, &place);
        if (!weights_in_stage(&filler->config, place.role, place.layer, stage)) {
            continue;
        }
        void *stored = weights_store(filler->weights, place.role);
        float *slot = weights_slot(filler->weights, place.role, place.layer);
        assert_true((stored == NULL) == (slot != NULL));
        if (stored != NULL) {
            dtype_from_f32(stored, values, DTYPE_F16, n);
        } else {
            slot[0] = (float)stage;
        }
    }
    free(values);
    return 0;
}

static void a_matrix_held_as_it_is_stored_is_read_by_rows(void **state)
{
    (void)state;
    for (int tied = 0; tied < 2; tied++) {
        struct filler filler = {.config = twin_config()};
        const struct weights_source source = {.fill = fill_stored, .context = &filler};
        const size_t d = filler.config.width;
        float *rows = mem_array(2 * d, sizeof *rows);

        filler.config.tied = tied != 0;
        assert_int_equal(
            weights_new_streamed(&filler.weights, &filler.config, DTYPE_F16, &source, NULL), 0);
        assert_int_equal(weights_stage(filler.weights, 0, NULL), 0);
        assert_ptr_equal(weights_embedding_rows(filler.weights, 3, 2, rows), rows);
        assert_true(rows[0] == (float)(3 * d % 256) &&
                    rows[2 * d - 1] == (float)((5 * d - 1) % 256));
        assert_int_equal(weights_stage(filler.weights, 4, NULL), 0);
        assert_ptr_equal(weights_head_rows(filler.weights, 48, 2, rows), rows);
        assert_true(rows[d] == (float)(49 * d % 256 + 4000));
        assert_true(weights_final_norm(filler.weights)[0] == 4.0F);
        assert_true(weights_bytes_streamed(&filler.config, DTYPE_F16) <=
                    weights_bytes_streamed(&filler.config, DTYPE_F32));
        weights_free(filler.weights);
        free(rows);
    }
}

static void stages_beside_each_other_stay_until_they_are_renewed(void **state)
{
    struct filler filler = {.config = twin_config(), .left_out = TENSOR_UNKNOWN};
    const struct weights_source source = {.fill = fill, .context = &filler};

    (void)state;
    assert_int_equal(weights_new_staged(&filler.weights, &filler.config, &source, NULL), 0);
    const struct weights *weights = filler.weights;
    for (size_t round = 1; round <= 2; round++) {
        for (uint32_t stage = 5; stage-- > 0;) { /* in any order */
            assert_int_equal(weights_stage(weights, stage, NULL), 0);
        }
        for (uint32_t stage = 0; stage < 5; stage++) {
            assert_int_equal(weights_stage(weights, stage, NULL), 0); /* still there */
        }
        assert_int_equal(filler.calls, 5 * round);
        weights_renew(filler.weights);
    }
    assert_true(weights_layer(weights, 0)->down[0] == 1.0F);
    assert_true(weights_layer(weights, 2)->down[0] == 3.0F);
    weights_free(filler.weights);
}

static void a_stage_names_a_tensor_without_values(void **state)
{
    (void)state;
    struct filler filler;
    struct err err;

    open_filler(&filler, false);
    filler.left_out = TENSOR_UP;
    assert_int_equal(weights_stage(filler.weights, 0, &err), 0);
    assert_int_equal(weights_stage(filler.weights, 2, &err), ERR_MISSING);
    assert_string_equal(err.text,
                        "candidate: no values for tensor model.layers.1.mlp.up_proj.weight");
    filler.left_out = TENSOR_UNKNOWN;
    assert_int_equal(weights_stage(filler.weights, 2, &err), 0);
    weights_free(filler.weights);
}

static void a_model_that_cannot_run_is_refused(void **state)
{
    (void)state;
    struct config config = twin_config();
    struct weights *weights = NULL;
    struct err err;

    config.activation = CONFIG_ACTIVATION_OTHER;
    assert_int_equal(weights_new(&weights, &config, &err), ERR_FORMAT);
    assert_null(weights);
}

static void no_memory_is_an_error(void **state)
{
    (void)state;
    const struct config config = twin_config();
    struct weights *weights = NULL;
    struct err err;

    mem_fail_after(0);
    assert_int_equal(weights_new(&weights, &config, &err), ERR_MEMORY);
    mem_fail_after(-1);
    assert_null(weights);
    weights_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_one_product_reads_stands_together),
        cmocka_unit_test(slots_do_not_overlap),
        cmocka_unit_test(a_tensor_that_the_model_lacks_has_no_slot),
        cmocka_unit_test(binding_names_a_tensor_without_values),
        cmocka_unit_test(every_candidate_starts_unfilled),
        cmocka_unit_test(a_parent_is_loaded_as_it_is_stored),
        cmocka_unit_test(a_parent_of_another_shape_is_refused),
        cmocka_unit_test(stages_take_turns_in_one_place),
        cmocka_unit_test(a_matrix_held_as_it_is_stored_is_read_by_rows),
        cmocka_unit_test(stages_beside_each_other_stay_until_they_are_renewed),
        cmocka_unit_test(a_stage_names_a_tensor_without_values),
        cmocka_unit_test(a_model_that_cannot_run_is_refused),
        cmocka_unit_test(no_memory_is_an_error),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
