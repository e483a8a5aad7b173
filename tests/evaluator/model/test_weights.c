#include "evaluator/model/weights.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "evaluator/model/gemm.h"
#include "tests/support/twin.h"

#define MODELS TESTS_DIR "/../study/examples/models/"

static const struct gemm_kind f32 = {NUMERIC_F32, false};

static struct weights *fresh(const struct config *config)
{
    struct weights *weights = NULL;
    struct err err;

    assert_int_equal(weights_new(&weights, config, &err), 0);
    return weights;
}

/* Fill every tensor but those of one role, each value with `value` times the tensor's number. */
static void fill_all_but(struct weights *weights, const struct config *config,
                         enum tensor_role left_out, float value)
{
    float *values = mem_array((size_t)config->vocab * config->width + 10000, sizeof *values);

    for (size_t i = 0; i < tensors_count(config); i++) {
        struct tensor_place place;

        tensors_at(config, i, &place);
        const size_t n = place.dims[0] * (place.n_dims == 2 ? place.dims[1] : 1);

        for (size_t j = 0; j < n; j++) {
            values[j] = value * (float)i;
        }
        if (place.role != left_out) {
            assert_true(weights_fill(weights, place.role, place.layer, values, DTYPE_F32));
        }
    }
    free(values);
}

/* Output `output` of a packed matrix, all of whose k values are equal. */
static float output_of(const float *matrix, size_t output, size_t k)
{
    float row[64];

    gemm_unpack(f32, row, matrix, output, k);
    for (size_t i = 1; i < k; i++) {
        assert_true(row[i] == row[0]);
    }
    return row[0];
}

static float number_of(const struct config *config, enum tensor_role role, uint32_t layer)
{
    for (size_t i = 0; i < tensors_count(config); i++) {
        struct tensor_place place;

        tensors_at(config, i, &place);
        if (place.role == role && place.layer == layer) {
            return (float)i;
        }
    }
    return -1.0F;
}

static void what_one_product_reads_stands_together(void **state)
{
    (void)state;
    struct config config = twin_config();

    config.n_kv_heads = 2;
    config.qkv_bias = config.mlp_bias = true;
    struct weights *weights = fresh(&config);
    const struct weights_layer *layer = weights_layer(weights, 1);

    fill_all_but(weights, &config, TENSOR_UNKNOWN, 1.0F);
    for (size_t i = 0; i < 48 + 2 * 16; i++) {
        const enum tensor_role role = i < 48 ? TENSOR_Q : i < 48 + 16 ? TENSOR_K : TENSOR_V;

        assert_true(output_of(layer->qkv, i, 48) == number_of(&config, role, 1));
    }
    for (size_t i = 0; i < 2 * 40; i++) {
        assert_true(output_of(layer->gate_up, i, 48) ==
                    number_of(&config, i < 40 ? TENSOR_GATE : TENSOR_UP, 1));
    }
    assert_ptr_equal(weights_slot(weights, TENSOR_K_BIAS, 1), layer->qkv_bias + 48);
    assert_ptr_equal(weights_slot(weights, TENSOR_V_BIAS, 1), layer->qkv_bias + 48 + 16);
    assert_ptr_equal(weights_slot(weights, TENSOR_UP_BIAS, 1), layer->gate_up_bias + 40);
    assert_true((uintptr_t)layer->down % 64 == 0);
    weights_free(weights);
}

/* Filled in turn, every tensor still has its own number afterwards. */
static void tensors_do_not_overlap(void **state)
{
    (void)state;
    struct config config = twin_config();

    config.n_kv_heads = 3;
    config.qkv_bias = config.out_bias = config.mlp_bias = true;
    struct weights *weights = fresh(&config);

    fill_all_but(weights, &config, TENSOR_UNKNOWN, 1.0F);
    for (uint32_t l = 0; l < config.n_layers; l++) {
        const struct weights_layer *layer = weights_layer(weights, l);

        assert_true(layer->input_norm[47] == number_of(&config, TENSOR_INPUT_NORM, l));
        assert_true(output_of(layer->qkv, 0, 48) == number_of(&config, TENSOR_Q, l));
        assert_true(output_of(layer->qkv, 95, 48) == number_of(&config, TENSOR_V, l));
        assert_true(layer->qkv_bias[95] == number_of(&config, TENSOR_V_BIAS, l));
        assert_true(output_of(layer->o, 47, 48) == number_of(&config, TENSOR_O, l));
        assert_true(layer->mlp_norm[0] == number_of(&config, TENSOR_MLP_NORM, l));
        assert_true(output_of(layer->gate_up, 79, 48) == number_of(&config, TENSOR_UP, l));
        assert_true(output_of(layer->down, 0, 40) == number_of(&config, TENSOR_DOWN, l));
        assert_true(output_of(layer->down, 47, 40) == number_of(&config, TENSOR_DOWN, l));
        assert_true(layer->down_bias[0] == number_of(&config, TENSOR_DOWN_BIAS, l));
    }
    weights_free(weights);
}

/* However many values come at a time, and of whatever type. */
static void a_matrix_may_be_poured_in_pieces(void **state)
{
    (void)state;
    struct config config = twin_config();
    uint16_t values[100 * 48];
    float want[100 * 48], row[48];

    config.vocab = 100; /* more than a panel */
    for (size_t i = 0; i < 100 * 48; i++) {
        want[i] = (float)(i % 251);
    }
    dtype_from_f32(values, want, DTYPE_BF16, 100 * 48);
    for (size_t step = 1; step < 5000; step = 3 * step + 4) {
        struct weights *weights = fresh(&config);

        assert_true(weights_begin(weights, TENSOR_HEAD, 0));
        for (size_t at = 0; at < 100 * 48; at += step) {
            weights_pour(weights, values + at, DTYPE_BF16,
                         at + step < 100 * 48 ? step : 100 * 48 - at);
        }
        for (size_t i = 0; i < 100; i++) {
            gemm_unpack(f32, row, weights_head_rows(weights, 0, 100, NULL, NULL), i, 48);
            assert_memory_equal(row, want + i * 48, 48 * sizeof(float));
        }
        weights_free(weights);
    }
}

static void a_tensor_that_the_model_lacks_has_no_place(void **state)
{
    (void)state;
    struct config config = twin_config();

    config.tied = true;
    struct weights *weights = fresh(&config);

    assert_null(weights_slot(weights, TENSOR_HEAD, 0));
    assert_null(weights_slot(weights, TENSOR_Q_BIAS, 0));
    assert_null(weights_slot(weights, TENSOR_UNKNOWN, 0));
    assert_false(weights_begin(weights, TENSOR_Q, 3));
    assert_false(weights_begin(weights, TENSOR_UNKNOWN, 0));
    assert_false(weights_fill(weights, TENSOR_HEAD, 0, NULL, DTYPE_F32));
    assert_null(weights_layer(weights, 0)->qkv_bias);
    assert_null(weights_layer(weights, 0)->down_bias);
    weights_free(weights);
}

static void binding_names_a_tensor_without_values(void **state)
{
    (void)state;
    const struct config config = twin_config();
    struct weights *weights = fresh(&config);
    struct err err;

    fill_all_but(weights, &config, TENSOR_DOWN, 1.0F);
    assert_int_equal(weights_bind(weights, &err), ERR_MISSING);
    assert_string_equal(err.text,
                        "candidate: no values for tensor model.layers.0.mlp.down_proj.weight");
    fill_all_but(weights, &config, TENSOR_HEAD, 1.0F);
    assert_int_equal(weights_bind(weights, &err), ERR_MISSING);
    assert_string_equal(err.text, "candidate: no values for tensor lm_head.weight");
    fill_all_but(weights, &config, TENSOR_UNKNOWN, 1.0F);
    assert_int_equal(weights_bind(weights, &err), 0);
    weights_free(weights);
}

static void every_candidate_starts_unfilled(void **state)
{
    (void)state;
    const struct config config = twin_config();
    struct weights *weights = fresh(&config);

    fill_all_but(weights, &config, TENSOR_UNKNOWN, 1.0F);
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
    const size_t f = up->dims[0];
    const size_t d = up->dims[1];
    float *row = mem_array(d, sizeof(float));

    for (size_t i = 0; i < f; i++) {
        gemm_unpack(f32, row, weights_layer(weights, 5)->gate_up, f + i, d);
        assert_memory_equal(row, stored + i * d, d * sizeof(float));
    }
    free(row);
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

static const struct weights_form floats = {{NUMERIC_F32, false}, DTYPE_F32};
static const struct weights_form halves = {{NUMERIC_F32, false}, DTYPE_F16};

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
    float values[10000];

    (void)err;
    filler->calls++;
    for (size_t i = 0; i < tensors_count(&filler->config); i++) {
        struct tensor_place place;

        tensors_at(&filler->config, i, &place);
        if (place.role != filler->left_out &&
            weights_in_stage(&filler->config, place.role, place.layer, stage)) {
            const size_t n = place.dims[0] * (place.n_dims == 2 ? place.dims[1] : 1);

            for (size_t j = 0; j < n; j++) {
                values[j] = (float)stage;
            }
            assert_true(weights_fill(filler->weights, place.role, place.layer, values, DTYPE_F32));
        }
    }
    return 0;
}

static void open_filler(struct filler *filler, bool tied)
{
    const struct weights_source source = {.fill = fill, .context = filler};

    *filler = (struct filler){.config = twin_config(), .left_out = TENSOR_UNKNOWN};
    filler->config.tied = tied;
    assert_int_equal(weights_new_streamed(&filler->weights, &filler->config, floats, &source, NULL),
                     0);
}

static void stages_take_turns_in_one_place(void **state)
{
    (void)state;
    for (int tied = 0; tied < 2; tied++) {
        struct filler filler;
        float row[48];

        open_filler(&filler, tied != 0);
        const struct weights *weights = filler.weights;
        assert_ptr_equal(weights_layer(weights, 0)->qkv, weights_layer(weights, 2)->qkv);
        for (uint32_t stage = 0; stage < 5; stage++) {
            assert_int_equal(weights_stage(weights, stage, NULL), 0);
            assert_int_equal(weights_stage(weights, stage, NULL), 0); /* present already */
            assert_int_equal(filler.calls, stage + 1);
            if (stage == 0) {
                assert_true(weights_embedding_row(weights, 0, row)[0] == 0.0F);
            } else if (stage < 4) {
                assert_true(weights_layer(weights, stage - 1)->down[0] == (float)stage);
            } else {
                assert_true(weights_final_norm(weights)[0] == 4.0F);
                assert_true(weights_head_rows(weights, 0, 1, NULL, NULL)[0] == 4.0F);
                assert_ptr_not_equal(weights_final_norm(weights),
                                     weights_head_rows(weights, 0, 1, NULL, NULL));
            }
        }
        weights_renew(filler.weights);
        assert_int_equal(weights_stage(weights, 4, NULL), 0);
        assert_int_equal(filler.calls, 6);
        assert_true(weights_bytes_streamed(&filler.config, floats) <
                    weights_bytes(&filler.config, floats));
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

        if (stored != NULL) {
            assert_null(weights_slot(filler->weights, place.role, place.layer));
            assert_false(weights_begin(filler->weights, place.role, place.layer));
            dtype_from_f32(stored, values, DTYPE_F16, n);
        } else {
            values[0] = (float)stage;
            assert_true(weights_fill(filler->weights, place.role, place.layer, values, DTYPE_F32));
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
        float row[48], rows[2 * 48];
        float *packed = mem_array(gemm_packed_floats(f32, 2, d), sizeof *packed);

        filler.config.tied = tied != 0;
        assert_int_equal(
            weights_new_streamed(&filler.weights, &filler.config, halves, &source, NULL), 0);
        assert_int_equal(weights_stage(filler.weights, 0, NULL), 0);
        assert_ptr_equal(weights_embedding_row(filler.weights, 3, row), row);
        assert_true(row[1] == (float)((3 * d + 1) % 256) &&
                    row[d - 1] == (float)((4 * d - 1) % 256));
        assert_int_equal(weights_stage(filler.weights, 4, NULL), 0);
        assert_ptr_equal(weights_head_rows(filler.weights, 0, 2, packed, rows), packed);
        gemm_unpack(f32, row, packed, 1, d);
        assert_true(row[0] == (float)(d % 256 + 4000));
        assert_true(weights_final_norm(filler.weights)[0] == 4.0F);
        assert_true(weights_bytes_streamed(&filler.config, halves) <=
                    weights_bytes_streamed(&filler.config, floats));
        weights_free(filler.weights);
        free(packed);
    }
}

static void stages_beside_each_other_stay_until_they_are_renewed(void **state)
{
    struct filler filler = {.config = twin_config(), .left_out = TENSOR_UNKNOWN};
    const struct weights_source source = {.fill = fill, .context = &filler};

    (void)state;
    assert_int_equal(weights_new_staged(&filler.weights, &filler.config, floats, &source, NULL), 0);
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
        cmocka_unit_test(tensors_do_not_overlap),
        cmocka_unit_test(a_matrix_may_be_poured_in_pieces),
        cmocka_unit_test(a_tensor_that_the_model_lacks_has_no_place),
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
