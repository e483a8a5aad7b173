#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/doc.h"
#include "base/file.h"
#include "base/mem.h"
#include "evaluator/merge/vocabulary.h"
#include "tests/evaluator/tiny_model.h"
#include "tests/support/support.h"

#define MODELS 3
#define COLUMNS TINY_WIDTH

enum { BASE, ONE, TWO };

/* base   a b c <s>         4 rows
 * one    a c d e <s> <x>   6 rows
 * two    e a (f)           2 rows: f has an id but no row */
static const struct {
    const char *name;
    uint32_t rows;
    const char *tokenizer;
} kitchen[MODELS] = {
    {"base", 4,
     "{\"version\":\"1.0\",\"added_tokens\":[{\"id\":3,\"content\":\"<s>\",\"special\":true}],"
     "\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"b\":1,\"c\":2,\"<s>\":3},\"merges\":[]}}"},
    {"one", 6,
     "{\"added_tokens\":[{\"id\":4,\"content\":\"<s>\",\"special\":true},"
     "{\"id\":5,\"content\":\"<x>\",\"special\":true,\"lstrip\":true,\"normalized\":false}],"
     "\"model\":{\"vocab\":{\"a\":0,\"c\":1,\"d\":2,\"e\":3}}}"},
    {"two", 2, "{\"added_tokens\":null,\"model\":{\"vocab\":[[\"e\",0.5],[\"a\",1],[\"f\",2]]}}"},
};

struct fixture {
    char *folder;
    struct checkpoint *opened[MODELS];
    struct vocabulary_model models[MODELS];
    struct vocabulary *vocabulary;
};

static void open_models(struct fixture *out, enum dtype dtype)
{
    *out = (struct fixture){.folder = support_temp_dir()};
    for (size_t m = 0; m < MODELS; m++) {
        char *path = tiny_model_write(
            out->folder, kitchen[m].name,
            &(struct tiny_model){.dtype = dtype, .seed = 9 + m, .vocab = kitchen[m].rows});

        support_write(path, "tokenizer.json", kitchen[m].tokenizer);
        assert_int_equal(checkpoint_open(&out->opened[m], path, NULL), 0);
        out->models[m] = (struct vocabulary_model){kitchen[m].name, out->opened[m], true};
        free(path);
    }
}

static void close_models(struct fixture *fixture)
{
    vocabulary_free(fixture->vocabulary);
    for (size_t m = 0; m < MODELS; m++) {
        checkpoint_close(fixture->opened[m]);
    }
    support_remove_dir(fixture->folder);
}

static void make(struct fixture *fixture, const struct vocabulary_rules *rules)
{
    struct err err = {0};

    vocabulary_free(fixture->vocabulary);
    fixture->vocabulary = NULL;
    if (vocabulary_make(&fixture->vocabulary, rules, fixture->models, MODELS, &err) != 0) {
        fail_msg("%s", err.text);
    }
}

static const struct checkpoint_tensor *embedding(const struct fixture *fixture, size_t m)
{
    return checkpoint_role(fixture->opened[m], TENSOR_EMBEDDING, 0);
}

static struct vocabulary_matrix align(const struct fixture *fixture, size_t m, enum dtype dtype)
{
    const struct checkpoint_tensor *matrices[MODELS];
    struct vocabulary_matrix made = {0};
    struct err err = {0};

    for (size_t i = 0; i < MODELS; i++) {
        matrices[i] = embedding(fixture, i);
    }
    if (vocabulary_align(&made, fixture->vocabulary, m, matrices, dtype, &err) != 0) {
        fail_msg("%s", err.text);
    }
    assert_int_equal(made.tensor.dims[0], vocabulary_rows(fixture->vocabulary));
    assert_int_equal(made.tensor.n_elements, made.tensor.dims[0] * COLUMNS);
    assert_int_equal(made.tensor.n_bytes, made.tensor.n_elements * dtype_size(made.tensor.dtype));
    return made;
}

static double number(const struct checkpoint_tensor *tensor, size_t row, size_t column)
{
    float value;

    dtype_to_f32(&value, tensor->data + (row * COLUMNS + column) * dtype_size(tensor->dtype),
                 tensor->dtype, 1);
    return (double)value;
}

/* Row `row` of the aligned matrix is row `from` of model m's. */
static void assert_row(const struct fixture *fixture, const struct vocabulary_matrix *matrix,
                       size_t row, size_t m, size_t from)
{
    for (size_t c = 0; c < COLUMNS; c++) {
        assert_true(number(&matrix->tensor, row, c) == number(embedding(fixture, m), from, c));
    }
}

static void assert_value(const struct vocabulary_matrix *matrix, size_t row, size_t c, double want)
{
    const double got = number(&matrix->tensor, row, c);

    if (fabs(got - want) > 1e-7) {
        fail_msg("row %zu, column %zu: %g is not %g", row, c, got, want);
    }
}

/* a b c <s> of the base, d e of one, <x>, and n that nobody has */
static void a_union_takes_new_tokens_in_order(void **state)
{
    static const struct vocabulary_token tokens[] = {{.text = "n"}};
    const struct vocabulary_rules rules = {
        .source = VOCABULARY_UNION, .base = BASE, .n_tokens = 1, .tokens = tokens, .pad_to = 5};
    struct fixture fixture;

    (void)state;
    open_models(&fixture, DTYPE_F32);
    make(&fixture, &rules);
    assert_int_equal(vocabulary_rows(fixture.vocabulary), 10);
    assert_string_equal(file_name(vocabulary_folder(fixture.vocabulary)), "base");
    assert_string_equal(vocabulary_warnings(fixture.vocabulary),
                        "tokens: 'n': no model has it, its row is 0\n");

    struct vocabulary_matrix base = align(&fixture, BASE, DTYPE_F32);
    struct vocabulary_matrix two = align(&fixture, TWO, DTYPE_F32);
    for (size_t row = 0; row < 4; row++) {
        assert_row(&fixture, &base, row, BASE, row);
        assert_row(&fixture, &two, row, row == 0 ? TWO : BASE, row == 0 ? 1 : row);
    }
    assert_row(&fixture, &base, 4, ONE, 2);
    assert_row(&fixture, &two, 5, TWO, 0);
    assert_row(&fixture, &base, 6, ONE, 5);
    for (size_t c = 0; c < COLUMNS; c++) {
        double sum = 0;

        assert_value(
            &base, 5, c,
            (number(embedding(&fixture, ONE), 3, c) + number(embedding(&fixture, TWO), 0, c)) / 2);
        assert_value(&base, 7, c, 0);
        for (size_t row = 0; row < 8; row++) {
            sum += number(&base.tensor, row, c);
        }
        assert_value(&base, 8, c, sum / 8);
        assert_value(&base, 9, c, sum / 8);
    }
    vocabulary_matrix_release(&base);
    vocabulary_matrix_release(&two);
    close_models(&fixture);
}

static void named_rows_come_before_usual_ones(void **state)
{
    static const struct vocabulary_token tokens[] = {
        {.text = "d", .row = VOCABULARY_ROW_ZERO},
        {.text = "a", .row = VOCABULARY_ROW_TOKEN, .model = ONE, .force = true},
        {.text = "b", .row = VOCABULARY_ROW_TOKEN, .model = ONE, .token = "e"},
        {.text = "c", .row = VOCABULARY_ROW_ID, .model = TWO, .id = 1, .force = true},
        {.text = "e", .force = true}};
    const struct vocabulary_rules rules = {
        .source = VOCABULARY_UNION, .base = BASE, .n_tokens = 5, .tokens = tokens};
    struct fixture fixture;

    (void)state;
    open_models(&fixture, DTYPE_F32);
    make(&fixture, &rules);
    struct vocabulary_matrix base = align(&fixture, BASE, DTYPE_F32);
    struct vocabulary_matrix one = align(&fixture, ONE, DTYPE_F32);
    assert_row(&fixture, &base, 0, ONE, 0);
    assert_row(&fixture, &base, 1, BASE, 1); /* not forced: its own */
    assert_row(&fixture, &one, 1, ONE, 3);
    assert_row(&fixture, &base, 2, TWO, 1);
    assert_row(&fixture, &one, 2, TWO, 1);
    assert_value(&base, 4, 3, 0);
    assert_row(&fixture, &one, 4, ONE, 2);
    for (size_t c = 0; c < COLUMNS; c++) { /* forced without a row: the usual one for all */
        assert_true(number(&one.tensor, 5, c) == number(&base.tensor, 5, c));
    }
    vocabulary_matrix_release(&base);
    vocabulary_matrix_release(&one);
    close_models(&fixture);
}

static void a_matrix_that_fits_is_not_copied(void **state)
{
    const struct vocabulary_rules rules = {.source = VOCABULARY_MODEL, .model = BASE, .base = BASE};
    struct fixture fixture;

    (void)state;
    open_models(&fixture, DTYPE_BF16);
    make(&fixture, &rules);
    struct vocabulary_matrix base = align(&fixture, BASE, DTYPE_F32);
    struct vocabulary_matrix one = align(&fixture, ONE, DTYPE_BF16);
    assert_ptr_equal(base.tensor.data, embedding(&fixture, BASE)->data);
    assert_null(base.map.data);
    assert_int_equal(one.tensor.dtype, DTYPE_BF16);
    assert_row(&fixture, &one, 2, ONE, 1);
    assert_row(&fixture, &one, 1, BASE, 1);
    assert_row(&fixture, &one, 3, ONE, 4);
    vocabulary_matrix_release(&base);
    vocabulary_matrix_release(&one);
    close_models(&fixture);
}

static void a_model_that_only_lends_has_no_say(void **state)
{
    const struct vocabulary_rules rules = {.source = VOCABULARY_UNION, .base = BASE};
    struct fixture fixture;

    (void)state;
    open_models(&fixture, DTYPE_F32);
    fixture.models[ONE].input = false;
    make(&fixture, &rules);
    assert_int_equal(vocabulary_rows(fixture.vocabulary), 5);
    struct vocabulary_matrix base = align(&fixture, BASE, DTYPE_F32);
    assert_row(&fixture, &base, 4, TWO, 0);
    vocabulary_matrix_release(&base);
    close_models(&fixture);
}

static void warns_of_tokens_that_no_input_has(void **state)
{
    const struct vocabulary_rules rules = {.source = VOCABULARY_MODEL, .model = ONE, .base = BASE};
    struct fixture fixture;

    (void)state;
    open_models(&fixture, DTYPE_F32);
    fixture.models[ONE].input = false;
    make(&fixture, &rules);
    assert_string_equal(vocabulary_warnings(fixture.vocabulary),
                        "tokenizer: 2 tokens that no model has: rows of 0\n"); /* d and <x> */
    close_models(&fixture);
}

static json_t *load(const char *folder, const char *name)
{
    char *path = file_join(folder, name);
    json_t *doc = NULL;
    struct err err = {0};

    if (doc_load(&doc, path, 1 << 20, &err) != 0) {
        fail_msg("%s", err.text);
    }
    free(path);
    return doc;
}

static void assert_prints(const json_t *doc, const char *want)
{
    struct text text = {0};

    doc_print(&text, doc);
    assert_string_equal(text_get(&text), want);
    text_release(&text);
}

static void writes_new_tokens_wherever_the_donor_lists_them(void **state)
{
    const struct vocabulary_rules rules = {.source = VOCABULARY_UNION, .base = BASE};
    struct fixture fixture;

    (void)state;
    open_models(&fixture, DTYPE_F32);
    char *base = file_join(fixture.folder, "base");
    support_write(base, "tokenizer_config.json",
                  "{\"z\":1,\"added_tokens_decoder\":{\"3\":{\"content\":\"<s>\"}}}");
    support_write(base, "added_tokens.json", "{\"<s>\":3}");
    make(&fixture, &rules);
    assert_int_equal(vocabulary_write(fixture.vocabulary, fixture.folder, NULL), 0);

    json_t *tokenizer = load(fixture.folder, "tokenizer.json");
    assert_prints(json_object_get(json_object_get(tokenizer, "model"), "vocab"),
                  "{\"<s>\":3,\"a\":0,\"b\":1,\"c\":2}");
    const json_t *list = json_object_get(tokenizer, "added_tokens");
    assert_int_equal(json_array_size(list), 4);
    assert_prints(json_array_get(list, 0), "{\"content\":\"<s>\",\"id\":3,\"special\":true}");
    assert_prints(json_array_get(list, 1),
                  "{\"content\":\"d\",\"id\":4,\"lstrip\":false,\"normalized\":true,"
                  "\"rstrip\":false,\"single_word\":false,\"special\":false}");
    assert_prints(json_array_get(list, 3),
                  "{\"content\":\"<x>\",\"id\":6,\"lstrip\":true,\"normalized\":false,"
                  "\"rstrip\":false,\"single_word\":false,\"special\":true}");
    json_decref(tokenizer);
    json_t *other = load(fixture.folder, "added_tokens.json");
    assert_prints(other, "{\"<s>\":3,\"<x>\":6,\"d\":4,\"e\":5}");
    json_decref(other);
    other = load(fixture.folder, "tokenizer_config.json");
    assert_int_equal(json_object_size(json_object_get(other, "added_tokens_decoder")), 4);
    assert_int_equal(json_integer_value(json_object_get(other, "z")), 1);
    json_decref(other);
    free(base);
    close_models(&fixture);
}

static void writes_nothing_where_nothing_is_new(void **state)
{
    const struct vocabulary_rules rules = {.source = VOCABULARY_MODEL, .model = ONE, .base = BASE};
    struct fixture fixture;

    (void)state;
    open_models(&fixture, DTYPE_F32);
    make(&fixture, &rules);
    assert_string_equal(file_name(vocabulary_folder(fixture.vocabulary)), "one");
    assert_int_equal(vocabulary_write(fixture.vocabulary, "/no/such/folder", NULL), 0);
    close_models(&fixture);
}

static void refuses_rows_that_are_not_there(void **state)
{
    static const struct {
        struct vocabulary_token token;
        const char *why;
    } cases[] = {
        {{.text = "a", .row = VOCABULARY_ROW_TOKEN, .model = TWO, .token = "b"},
         "tokens: 'a': two has no token 'b'"},
        {{.text = "b", .row = VOCABULARY_ROW_TOKEN, .model = ONE},
         "tokens: 'b': one has no token 'b'"},
        {{.text = "a", .row = VOCABULARY_ROW_TOKEN, .model = TWO, .token = "f"},
         "two has no token 'f'"},
        {{.text = "a", .row = VOCABULARY_ROW_ID, .model = TWO, .id = 2},
         "tokens: 'a': two has 2 rows, there is no row 2"},
    };
    struct fixture fixture;

    (void)state;
    open_models(&fixture, DTYPE_F32);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const struct vocabulary_rules rules = {
            .source = VOCABULARY_UNION, .base = BASE, .n_tokens = 1, .tokens = &cases[i].token};
        struct vocabulary *vocabulary = NULL;
        struct err err = {0};

        assert_int_equal(vocabulary_make(&vocabulary, &rules, fixture.models, MODELS, &err),
                         ERR_MISSING);
        if (strstr(err.text, cases[i].why) == NULL) {
            fail_msg("'%s' does not say '%s'", err.text, cases[i].why);
        }
        assert_null(vocabulary);
    }
    close_models(&fixture);
}

static void refuses_a_tokenizer_that_cannot_be_read(void **state)
{
    static const char *const cases[][2] = {
        {"[]", "two/tokenizer.json: "},
        {"{}", "two/tokenizer.json: model"},
        {"{\"model\":{}}", "model.vocab: expected an object or a list"},
        {"{\"model\":{\"vocab\":{\"a\":\"b\"}}}", "model.vocab: 'a': expected an id, got a text"},
        {"{\"model\":{\"vocab\":{\"a\":-1}}}", "model.vocab: 'a': id -1 is not in"},
        {"{\"model\":{\"vocab\":{\"a\":4294967296}}}", "model.vocab: 'a': id 4294967296"},
        {"{\"model\":{\"vocab\":{\"a\":1,\"b\":1}}}", "model.vocab: token id 1 occurs twice"},
        {"{\"model\":{\"vocab\":[\"a\"]}}", "model.vocab[0]: expected [text, score]"},
        {"{\"model\":{\"vocab\":{}},\"added_tokens\":{}}", "added_tokens: expected a list"},
        {"{\"model\":{\"vocab\":{}},\"added_tokens\":[7]}", "added_tokens[0]"},
        {"{\"model\":{\"vocab\":{}},\"added_tokens\":[{\"id\":1,\"content\":\"a\"},"
         "{\"id\":1,\"content\":\"b\"}]}",
         "added_tokens[1]: token id 1 occurs twice"},
    };
    const struct vocabulary_rules rules = {.source = VOCABULARY_UNION, .base = BASE};
    struct fixture fixture;

    (void)state;
    open_models(&fixture, DTYPE_F32);
    char *two = file_join(fixture.folder, "two");
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct vocabulary *vocabulary = NULL;
        struct err err = {0};

        support_write(two, "tokenizer.json", cases[i][0]);
        assert_int_not_equal(vocabulary_make(&vocabulary, &rules, fixture.models, MODELS, &err), 0);
        if (strstr(err.text, cases[i][1]) == NULL) {
            fail_msg("%s: '%s' does not say '%s'", cases[i][0], err.text, cases[i][1]);
        }
        assert_null(vocabulary);
    }
    free(two);
    close_models(&fixture);
}

static void refuses_matrices_that_do_not_fit_together(void **state)
{
    const struct vocabulary_rules rules = {.source = VOCABULARY_UNION, .base = BASE};
    struct vocabulary_matrix made = {0};
    struct fixture fixture;
    struct err err = {0};

    (void)state;
    open_models(&fixture, DTYPE_F32);
    make(&fixture, &rules);
    struct checkpoint_tensor narrow = *embedding(&fixture, ONE);
    struct checkpoint_tensor low = narrow;
    narrow.dims[1] = 16;
    low.dims[0] = 3;
    const struct checkpoint_tensor *matrices[MODELS] = {embedding(&fixture, BASE), &narrow, NULL};
    assert_int_equal(vocabulary_align(&made, fixture.vocabulary, BASE, matrices, DTYPE_F32, &err),
                     ERR_CONFLICT);
    assert_non_null(strstr(err.text, "one/model.safetensors: model.embed_tokens.weight: its shape "
                                     "is [6, 16], other models have rows of 32"));
    matrices[ONE] = &low;
    assert_int_equal(vocabulary_align(&made, fixture.vocabulary, BASE, matrices, DTYPE_F32, &err),
                     ERR_CONFLICT);
    assert_non_null(strstr(err.text, "it has 3 rows, its tokenizer wants row 3"));
    matrices[ONE] = NULL;
    assert_int_equal(vocabulary_align(&made, fixture.vocabulary, BASE, matrices, DTYPE_F32, &err),
                     ERR_CONFLICT);
    assert_non_null(strstr(err.text, "one: model.embed_tokens.weight: the tensor is missing"));
    assert_null(made.map.data);
    close_models(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_union_takes_new_tokens_in_order),
        cmocka_unit_test(named_rows_come_before_usual_ones),
        cmocka_unit_test(a_matrix_that_fits_is_not_copied),
        cmocka_unit_test(a_model_that_only_lends_has_no_say),
        cmocka_unit_test(warns_of_tokens_that_no_input_has),
        cmocka_unit_test(writes_new_tokens_wherever_the_donor_lists_them),
        cmocka_unit_test(writes_nothing_where_nothing_is_new),
        cmocka_unit_test(refuses_rows_that_are_not_there),
        cmocka_unit_test(refuses_a_tokenizer_that_cannot_be_read),
        cmocka_unit_test(refuses_matrices_that_do_not_fit_together),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
