#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/crew.h"
#include "base/file.h"
#include "base/mem.h"
#include "evaluator/merge/blend.h"
#include "evaluator/merge/carry.h"
#include "tests/evaluator/kitchen.h"
#include "tests/support/support.h"

/* Enough for shards and for more tensors than processes. */
#define SHARD_BYTES 5000

static int carry_into(const struct kitchen *kitchen, const char *folder, size_t n_processes,
                      char weights[DIGEST_HEX], struct err *err)
{
    const struct plan *plan = &kitchen->plan;
    struct safetensors_output *outputs = mem_array(plan->n_tensors, sizeof(*outputs));
    struct safetensors_writer *writer = NULL;

    for (size_t i = 0; i < plan->n_tensors; i++) {
        const struct plan_tensor *tensor = &plan->tensors[i];

        outputs[i] = (struct safetensors_output){.name = tensor->name,
                                                 .dtype = tensor->dtype,
                                                 .n_dims = tensor->n_dims,
                                                 .n_bytes = tensor->n * dtype_size(tensor->dtype)};
        memcpy(outputs[i].dims, tensor->dims, sizeof(outputs[i].dims));
    }
    assert_int_equal(file_make_dirs(folder, NULL), 0);
    assert_int_equal(
        safetensors_write_begin(&writer, folder, outputs, plan->n_tensors, SHARD_BYTES, err), 0);
    int rc = carry_out(plan, writer, n_processes, weights, err);
    if (rc == 0) {
        rc = safetensors_write_seal(writer, err);
    } else {
        safetensors_write_abandon(writer);
    }
    free(outputs);
    return rc;
}

static struct file_bytes read_shard(const char *folder, size_t shard, size_t n)
{
    struct file_bytes bytes = {0};
    char *path = mem_printf("%s/model-%05zu-of-%05zu.safetensors", folder, shard, n);

    assert_int_equal(file_read(&bytes, path, (size_t)1 << 30, NULL), 0);
    free(path);
    return bytes;
}

static size_t count_shards(const char *folder)
{
    for (size_t n = 2;; n++) {
        char *path = mem_printf("%s/model-%05zu-of-%05zu.safetensors", folder, n, n);
        bool there = file_exists(path);

        free(path);
        if (there) {
            return n;
        }
        assert_true(n < 1000);
    }
}

static void assert_same_files(const char *a, const char *b)
{
    size_t n = count_shards(a);

    assert_true(n > 2);
    for (size_t shard = 1; shard <= n; shard++) {
        struct file_bytes x = read_shard(a, shard, n);
        struct file_bytes y = read_shard(b, shard, n);

        assert_int_equal(x.size, y.size);
        assert_memory_equal(x.data, y.data, x.size);
        file_release(&x);
        file_release(&y);
    }
}

static void writes_the_same_bytes_whatever_the_number_of_processes(void **state)
{
    static const char *const methods[] = {"linear", "task_arithmetic", "ties"};
    static const size_t processes[] = {1, 2, 5};

    (void)state;
    for (size_t m = 0; m < 3; m++) {
        const struct blend_sink nowhere = {0};
        struct blend *blend = blend_new();
        struct kitchen kitchen;
        char measured[DIGEST_HEX];
        char *folders[3];

        kitchen_open(&kitchen, m == 1 ? kitchen_floats : kitchen_brains);
        kitchen_plan(&kitchen, methods[m], RECIPE_BFLOAT16);
        assert_int_equal(blend_run(blend, &kitchen.plan, &nowhere, measured, NULL), 0);
        for (size_t p = 0; p < 3; p++) {
            char weights[DIGEST_HEX];

            folders[p] = mem_printf("%s/out%zu", kitchen.folder, processes[p]);
            assert_int_equal(carry_into(&kitchen, folders[p], processes[p], weights, NULL), 0);
            assert_string_equal(weights, measured);
            assert_same_files(folders[p], folders[0]);
        }
        for (size_t p = 0; p < 3; p++) {
            free(folders[p]);
        }
        blend_free(blend);
        kitchen_close(&kitchen);
    }
}

static void takes_no_digest_where_none_is_wanted(void **state)
{
    struct kitchen kitchen;

    (void)state;
    kitchen_open(&kitchen, kitchen_brains);
    kitchen_plan(&kitchen, "linear", RECIPE_BFLOAT16);
    char *plain = file_join(kitchen.folder, "plain");
    char *digested = file_join(kitchen.folder, "digested");
    char weights[DIGEST_HEX];
    assert_int_equal(carry_into(&kitchen, plain, 2, NULL, NULL), 0);
    assert_int_equal(carry_into(&kitchen, digested, 2, weights, NULL), 0);
    assert_same_files(plain, digested);
    free(plain);
    free(digested);
    kitchen_close(&kitchen);
}

/* Its pages are gone behind the map: whoever touches them is killed by SIGBUS. */
static void names_a_source_that_is_cut_short_meanwhile(void **state)
{
    struct kitchen kitchen;
    struct err err = {0};

    (void)state;
    kitchen_open(&kitchen, kitchen_brains);
    kitchen_plan(&kitchen, "linear", RECIPE_BFLOAT16);
    char *source = mem_printf("%s/b/model.safetensors", kitchen.folder);
    char *out = file_join(kitchen.folder, "out");
    assert_int_equal(truncate(source, 0), 0);
    assert_int_equal(carry_into(&kitchen, out, 2, NULL, &err), ERR_CONFLICT);
    assert_non_null(strstr(err.text, "b/model.safetensors: changed since it was opened"));
    free(source);
    free(out);
    kitchen_close(&kitchen);
}

static void names_the_tensor_that_is_not_finite_whatever_the_number_of_processes(void **state)
{
    const struct tiny_model models[3] = {
        {.seed = 1}, {.seed = 2, .with_nan = "model.norm.weight"}, {.seed = 3}};
    struct kitchen kitchen;

    (void)state;
    kitchen_open(&kitchen, models);
    kitchen_plan(&kitchen, "linear", RECIPE_BFLOAT16);
    for (size_t n = 1; n <= 3; n++) {
        char *out = mem_printf("%s/out%zu", kitchen.folder, n);
        struct err err = {0};

        assert_int_equal(carry_into(&kitchen, out, n, NULL, &err), ERR_NUMERIC);
        assert_non_null(strstr(err.text, "model.norm.weight: element 5 is not finite (1 of 32)"));
        free(out);
    }
    kitchen_close(&kitchen);
}

/* Its own sum of what each tensor hashes to. */
static void assert_weights_digest(struct checkpoint *model)
{
    struct digest *digest = digest_new();
    char plain[DIGEST_HEX];
    char made[DIGEST_HEX];

    for (size_t i = 0; i < checkpoint_count(model); i++) {
        const struct checkpoint_tensor *tensor = checkpoint_at(model, i);
        unsigned char content[DIGEST_SIZE];

        digest_of(tensor->data, tensor->n_bytes, content);
        checkpoint_digest_tensor(digest, tensor->name, tensor->dtype, tensor->dims, tensor->n_dims,
                                 content);
    }
    digest_end_hex(digest, plain);
    assert_int_equal(checkpoint_weights_digest(model, made, NULL), 0);
    assert_string_equal(made, plain);
}

/* Models of 20 MB each, of which a process may have only so much in memory. */
static void keeps_within_the_memory_it_states(void **state)
{
    const struct tiny_model models[3] = {{.dtype = DTYPE_BF16, .seed = 1, .mlp_width = 50000},
                                         {.dtype = DTYPE_BF16, .seed = 2, .mlp_width = 50000},
                                         {.dtype = DTYPE_BF16, .seed = 3, .mlp_width = 50000}};
    struct kitchen kitchen;

    (void)state;
    kitchen_open(&kitchen, models);
    kitchen_plan(&kitchen, "ties", RECIPE_BFLOAT16);
    char *out = file_join(kitchen.folder, "out");
    assert_int_equal(carry_into(&kitchen, out, 2, NULL, NULL), 0);
    size_t alone = carry_memory(&kitchen.plan, 1);
    size_t stated = carry_memory(&kitchen.plan, 2) - alone;
    size_t peak = crew_peak_bytes();

    print_message("of one process: stated %.1f MB, peak %.1f MB\n", (double)stated / 1e6,
                  (double)peak / 1e6);
    assert_true(stated < 50000000);
#if !defined(__SANITIZE_ADDRESS__) && !defined(TESTS_EMULATED) /* they take memory of their own */
    assert_true(peak <= stated);
#endif
    assert_int_equal(carry_memory(&kitchen.plan, 3), alone + 2 * stated);
    assert_weights_digest(kitchen.models[1]);
    free(out);
    kitchen_close(&kitchen);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes_the_same_bytes_whatever_the_number_of_processes),
        cmocka_unit_test(takes_no_digest_where_none_is_wanted),
        cmocka_unit_test(names_a_source_that_is_cut_short_meanwhile),
        cmocka_unit_test(names_the_tensor_that_is_not_finite_whatever_the_number_of_processes),
        cmocka_unit_test(keeps_within_the_memory_it_states),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
