#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/text.h"
#include "evaluator/model/safetensors.h"
#include "evaluator/model/safetensors_write.h"
#include "tests/support/support.h"

/* A file in memory: length, header, n_data bytes of data. */
static void build(struct text *out, const char *header, size_t n_data)
{
    uint64_t n = strlen(header);

    text_clear(out);
    for (int i = 0; i < 8; i++) {
        text_add_char(out, (char)(n >> (8 * i)));
    }
    text_add(out, header);
    for (size_t i = 0; i < n_data; i++) {
        text_add_char(out, (char)i);
    }
}

static int read_built(struct safetensors *out, const struct text *file, struct err *err)
{
    return safetensors_read(out, (const unsigned char *)text_get(file), file->size, "f", err);
}

static void assert_refused(const char *header, size_t n_data, const char *why)
{
    struct text file = {0};
    struct safetensors read = {0};
    struct err err = {0};

    build(&file, header, n_data);
    assert_int_not_equal(read_built(&read, &file, &err), 0);
    if (strstr(err.text, why) == NULL) {
        fail_msg("'%s' does not say '%s'", err.text, why);
    }
    assert_memory_equal(err.text, "f: ", 3);
    assert_null(read.tensors);
    text_release(&file);
}

static void assert_accepted(const char *header, size_t n_data, size_t n_tensors)
{
    struct text file = {0};
    struct safetensors read = {0};
    struct err err = {0};

    build(&file, header, n_data);
    if (read_built(&read, &file, &err) != 0) {
        fail_msg("%s", err.text);
    }
    assert_int_equal(read.n_tensors, n_tensors);
    safetensors_close(&read);
    text_release(&file);
}

#define TENSOR(name, dtype, shape, begin, end)                                                   \
    "\"" name "\":{\"dtype\":\"" dtype "\",\"shape\":" shape ",\"data_offsets\":[" begin "," end \
    "]}"

static void reads_what_a_tensor_is(void **state)
{
    struct text file = {0};
    struct safetensors read = {0};

    (void)state;
    build(&file,
          "{\"__metadata__\":{\"format\":\"pt\"}," TENSOR(
              "b", "BF16", "[2,3]", "4", "16") "," TENSOR("a", "F32", "[]", "0", "4") "}",
          16);
    assert_int_equal(read_built(&read, &file, NULL), 0);
    assert_int_equal(read.n_tensors, 2);
    assert_string_equal(read.tensors[0].name, "a");
    assert_int_equal(read.tensors[0].n_dims, 0);
    assert_int_equal(read.tensors[0].n_elements, 1);
    const struct safetensors_tensor *b = &read.tensors[1];
    assert_string_equal(b->name, "b");
    assert_int_equal(b->dtype, DTYPE_BF16);
    assert_int_equal(b->n_dims, 2);
    assert_int_equal(b->dims[0], 2);
    assert_int_equal(b->dims[1], 3);
    assert_int_equal(b->n_elements, 6);
    assert_int_equal(b->data[0], 4);
    safetensors_close(&read);
    text_release(&file);
}

static void accepts_the_odd_but_legal(void **state)
{
    (void)state;
    assert_accepted("{}", 0, 0);
    assert_accepted(" \t\n{}  \n", 0, 0);
    assert_accepted("{\"__metadata__\":null}", 0, 0);
    assert_accepted("{" TENSOR("a", "F32", "[1]", "0", "4") "}   ", 4, 1);
    /* zero-size tensors first, in the middle and last */
    assert_accepted(
        "{" TENSOR("a", "F32", "[0,5]", "0", "0") "," TENSOR("b", "U8", "[2]", "0", "2") "," TENSOR(
            "c", "F16", "[0]", "2", "2") "," TENSOR("d", "U8", "[1]", "2",
                                                    "3") "," TENSOR("e", "F64", "[3,0]", "3",
                                                                    "3") "}",
        3, 5);
    /* six-bit numbers that fill whole bytes, and a member that nobody knows */
    assert_accepted("{" TENSOR("a", "F6_E2M3", "[4]", "0", "3") "}", 3, 1);
    assert_accepted("{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1],\"more\":{}}}",
                    1, 1);
    assert_accepted("{" TENSOR("\xc3\xa4\\u00e4", "U8", "[1]", "0", "1") "}", 1, 1);
}

static void refuses_files_that_are_cut_short(void **state)
{
    struct text file = {0};
    struct safetensors read = {0};
    struct err err = {0};

    (void)state;
    build(&file, "{" TENSOR("a", "F32", "[2]", "0", "8") "}", 8);
    for (size_t size = 0; size < file.size; size++) {
        assert_int_not_equal(
            safetensors_read(&read, (const unsigned char *)file.data, size, "f", &err), 0);
        assert_null(read.tensors);
    }
    text_release(&file);
}

static void refuses_a_header_length_that_lies(void **state)
{
    unsigned char bytes[16] = {0};
    struct safetensors read = {0};
    struct err err = {0};

    (void)state;
    memset(bytes, 0xff, 8);
    assert_int_equal(safetensors_read(&read, bytes, sizeof bytes, "f", &err), ERR_LIMIT);
    memset(bytes, 0, 8);
    bytes[0] = 9;
    assert_int_equal(safetensors_read(&read, bytes, sizeof bytes, "f", &err), ERR_FORMAT);
    assert_int_equal(safetensors_read(&read, bytes, 7, "f", &err), ERR_FORMAT);
}

static void refuses_a_header_that_is_no_table_of_tensors(void **state)
{
    (void)state;
    assert_refused("{\"\xff\":1}", 0, "UTF-8");
    assert_refused("[]", 0, "not an object");
    assert_refused("", 0, "header");
    assert_refused("{} {}", 0, "header");
    assert_refused("{\"a\":1}", 0, "dtype");
    assert_refused("{\"a\":{\"shape\":[1],\"data_offsets\":[0,1]}}", 1, "dtype");
    assert_refused("{\"a\":{\"dtype\":\"U8\",\"data_offsets\":[0,1]}}", 1, "shape");
    assert_refused("{\"a\":{\"dtype\":\"U8\",\"shape\":[1]}}", 1, "data_offsets");
    assert_refused("{" TENSOR("a", "U9", "[1]", "0", "1") "}", 1, "unknown dtype 'U9'");
    assert_refused("{" TENSOR("a", "U8", "[1.0]", "0", "1") "}", 1, "shape");
    assert_refused("{" TENSOR("a", "U8", "[-1]", "0", "1") "}", 1, "shape");
    assert_refused("{" TENSOR("a", "U8", "[1]", "0", "1.0") "}", 1, "data_offsets");
    assert_refused("{" TENSOR("a", "U8", "[1]", "0", "true") "}", 1, "data_offsets");
    assert_refused("{\"__metadata__\":{\"k\":1}}", 0, "__metadata__.k");
    assert_refused("{\"__metadata__\":[]}", 0, "__metadata__");
}

static void names_what_appears_twice(void **state)
{
    (void)state;
    assert_refused(
        "{" TENSOR("w", "U8", "[1]", "0", "1") "," TENSOR("w", "U8", "[1]", "1", "2") "}", 2,
        "'w' appears twice");
}

static void refuses_gaps_overlaps_and_left_over_bytes(void **state)
{
    (void)state;
    assert_refused("{" TENSOR("a", "U8", "[1]", "1", "2") "}", 2, "a: ");
    assert_refused(
        "{" TENSOR("a", "U8", "[2]", "0", "2") "," TENSOR("b", "U8", "[2]", "1", "3") "}", 3,
        "b: ");
    assert_refused(
        "{" TENSOR("a", "U8", "[2]", "0", "2") "," TENSOR("b", "U8", "[1]", "3", "4") "}", 4,
        "b: ");
    assert_refused("{" TENSOR("a", "U8", "[2]", "0", "2") "}", 3, "3");
    assert_refused("{" TENSOR("a", "U8", "[2]", "2", "0") "}", 2, "a: ");
    assert_refused("{}", 1, "1");
}

static void refuses_shapes_that_do_not_fit_their_bytes(void **state)
{
    (void)state;
    assert_refused("{" TENSOR("a", "F32", "[2]", "0", "4") "}", 4, "8");
    assert_refused("{" TENSOR("a", "F4", "[3]", "0", "2") "}", 2, "whole bytes");
    assert_refused("{" TENSOR("a", "U8", "[4294967296,4294967296]", "0", "0") "}", 0, "too large");
    assert_refused("{" TENSOR("a", "F32", "[4611686018427387904]", "0", "0") "}", 0, "too large");
    assert_refused("{" TENSOR("a", "U8", "[18446744073709551616]", "0", "0") "}", 0,
                   "a size in shape is not an unsigned integer");
    assert_refused("{" TENSOR("a", "U8", "[1,1,1,1,1,1,1,1,1]", "0", "1") "}", 1, "shape");
}

static void reads_data_at_any_alignment(void **state)
{
    struct text file = {0};
    struct safetensors read = {0};
    float value;

    (void)state;
    build(&file,
          "{" TENSOR("a", "U8", "[1]", "0", "1") "," TENSOR("b", "F32", "[1]", "1", "5") "} ", 5);
    assert_int_equal(read_built(&read, &file, NULL), 0);
    dtype_to_f32(&value, read.tensors[1].data, DTYPE_F32, 1);
    assert_memory_equal(&value, "\1\2\3\4", 4);
    safetensors_close(&read);
    text_release(&file);
}

/* ---- writing ---- */

static const struct safetensors_output outputs[] = {
    {.name = "a", .dtype = DTYPE_BF16, .n_dims = 2, .dims = {2, 3}, .n_bytes = 12},
    {.name = "b", .dtype = DTYPE_BF16, .n_dims = 1, .dims = {0}, .n_bytes = 0},
    {.name = "c", .dtype = DTYPE_BF16, .n_dims = 1, .dims = {4}, .n_bytes = 8},
    {.name = "d", .dtype = DTYPE_BF16, .n_dims = 0, .n_bytes = 2},
};

static void write_outputs(const char *folder, uint64_t shard_bytes)
{
    struct safetensors_writer *writer = NULL;
    struct err err = {0};

    assert_int_equal(safetensors_write_begin(&writer, folder, outputs, 4, shard_bytes, &err), 0);
    assert_int_equal(safetensors_write_bytes(writer, "0123456789", 10, &err), 0);
    assert_int_equal(safetensors_write_bytes(writer, "ab", 2, &err), 0);
    assert_int_equal(safetensors_write_bytes(writer, "ABCDEFGH", 8, &err), 0);
    assert_int_equal(safetensors_write_bytes(writer, "yz", 2, &err), 0);
    assert_int_equal(safetensors_write_end(writer, &err), 0);
}

static void writes_what_it_reads_back(void **state)
{
    char *folder = support_temp_dir();
    char *path = file_join(folder, "model.safetensors");
    struct safetensors read = {0};

    (void)state;
    write_outputs(folder, 1000);
    assert_int_equal(safetensors_open(&read, path, NULL), 0);
    assert_int_equal(read.n_tensors, 4);
    assert_memory_equal(read.tensors[0].data, "0123456789ab", 12);
    for (size_t i = 0; i < 4; i++) {
        assert_string_equal(read.tensors[i].name, outputs[i].name);
        assert_int_equal(read.tensors[i].n_dims, outputs[i].n_dims);
    }
    assert_memory_equal(read.tensors[2].data, "ABCDEFGH", 8);
    /* the data area is aligned and the header says what loaders look for */
    assert_int_equal((read.tensors[0].data - read.map.data) % 8, 0);
    assert_non_null(
        strstr((const char *)read.map.data + 8, "\"__metadata__\":{\"format\":\"pt\"}"));
    safetensors_close(&read);
    free(path);
    support_remove_dir(folder);
}

static void starts_a_shard_when_the_next_tensor_would_pass_the_limit(void **state)
{
    char *folder = support_temp_dir();
    char *index = file_join(folder, "model.safetensors.index.json");
    char *second = file_join(folder, "model-00002-of-00002.safetensors");
    struct safetensors read = {0};
    struct file_bytes bytes = {0};

    (void)state;
    write_outputs(folder, 12);
    assert_int_equal(file_read(&bytes, index, 10000, NULL), 0);
    assert_non_null(strstr(bytes.data, "\"total_size\": 22"));
    assert_non_null(strstr(bytes.data, "\"c\": \"model-00002-of-00002.safetensors\""));
    assert_int_equal(safetensors_open(&read, second, NULL), 0);
    assert_int_equal(read.n_tensors, 2);
    assert_string_equal(read.tensors[1].name, "d");
    safetensors_close(&read);
    file_release(&bytes);
    free(index);
    free(second);
    support_remove_dir(folder);
}

static void refuses_bytes_too_many_or_too_few(void **state)
{
    char *folder = support_temp_dir();
    struct safetensors_writer *writer = NULL;
    struct err err = {0};

    (void)state;
    assert_int_equal(safetensors_write_begin(&writer, folder, outputs, 4, 1000, &err), 0);
    assert_int_not_equal(safetensors_write_bytes(writer, "0123456789abc", 13, &err), 0);
    assert_int_not_equal(safetensors_write_end(writer, &err), 0);
    support_remove_dir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_what_a_tensor_is),
        cmocka_unit_test(accepts_the_odd_but_legal),
        cmocka_unit_test(refuses_files_that_are_cut_short),
        cmocka_unit_test(refuses_a_header_length_that_lies),
        cmocka_unit_test(refuses_a_header_that_is_no_table_of_tensors),
        cmocka_unit_test(names_what_appears_twice),
        cmocka_unit_test(refuses_gaps_overlaps_and_left_over_bytes),
        cmocka_unit_test(refuses_shapes_that_do_not_fit_their_bytes),
        cmocka_unit_test(reads_data_at_any_alignment),
        cmocka_unit_test(writes_what_it_reads_back),
        cmocka_unit_test(starts_a_shard_when_the_next_tensor_would_pass_the_limit),
        cmocka_unit_test(refuses_bytes_too_many_or_too_few),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
