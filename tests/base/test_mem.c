#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/mem.h"

static void gives_zeroed_memory(void **state)
{
    unsigned char *bytes = mem_alloc(1000);
    uint64_t *numbers = mem_array(100, sizeof *numbers);

    (void)state;
    for (size_t i = 0; i < 1000; i++) {
        assert_int_equal(bytes[i], 0);
    }
    for (size_t i = 0; i < 100; i++) {
        assert_int_equal(numbers[i], 0);
    }
    free(bytes);
    free(numbers);
}

static void gives_memory_for_nothing_too(void **state)
{
    struct err err = {0};
    void *none = mem_alloc(0);
    void *tried = mem_try(0, 8, "nothing", &err);
    void *block = mem_try_block(0, 8, "nothing", &err);

    (void)state;
    assert_non_null(none);
    assert_non_null(tried);
    assert_non_null(block);
    free(none);
    free(tried);
    free(block);
}

static void keeps_contents_when_resized(void **state)
{
    char *text = mem_text("kept");

    (void)state;
    text = mem_resize(text, 1000, 1);
    assert_string_equal(text, "kept");
    text = mem_resize(text, 5, 1);
    assert_string_equal(text, "kept");
    free(text);
}

static void copies_texts(void **state)
{
    char *whole = mem_text("abc");
    char *part = mem_text_n("abcdef", 2);
    char *empty = mem_text_n(NULL, 0);
    char *made = mem_printf("%s-%03d", "a", 7);

    (void)state;
    assert_string_equal(whole, "abc");
    assert_string_equal(part, "ab");
    assert_string_equal(empty, "");
    assert_string_equal(made, "a-007");
    free(whole);
    free(part);
    free(empty);
    free(made);
}

/* Run in a child, whose standard error is thrown away. */
static int signal_of(void (*run)(void))
{
    int status = 0;
    pid_t child = fork();

    if (child == 0) {
        close(STDERR_FILENO);
        run();
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

static void ask_for_an_overflow(void)
{
    free(mem_array(SIZE_MAX / 2, 4));
}

static void ends_the_process_when_a_small_thing_does_not_fit(void **state)
{
    (void)state;
    assert_int_equal(signal_of(ask_for_an_overflow), SIGABRT);
}

static void says_no_to_sizes_that_overflow(void **state)
{
    struct err err = {0};

    (void)state;
    assert_null(mem_try(SIZE_MAX / 2, 4, "logits", &err));
    assert_int_equal(err.code, ERR_MEMORY);
    assert_memory_equal(err.text, "logits: ", 8);
    err = (struct err){0};
    assert_null(mem_try_block(SIZE_MAX / 2, 4, "weights", &err));
    assert_int_equal(err.code, ERR_MEMORY);
    assert_memory_equal(err.text, "weights: ", 9);
}

static void aligns_blocks_to_a_cache_line(void **state)
{
    const size_t sizes[] = {1, 63, 4096, (size_t)5 << 20};

    (void)state;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        unsigned char *block = mem_try_block(sizes[i], 1, "block", NULL);

        assert_non_null(block);
        assert_int_equal((uintptr_t)block % 64, 0);
        block[0] = block[sizes[i] - 1] = 1;
        free(block);
    }
}

static void fails_the_allocation_that_a_test_names(void **state)
{
    struct err err = {0};

    (void)state;
    mem_fail_after(2);
    for (int i = 0; i < 5; i++) {
        void *memory = i % 2 == 0 ? mem_try(1, 1, "a", &err) : mem_try_block(1, 1, "a", &err);

        assert_int_equal(memory == NULL, i == 2);
        free(memory);
    }
    assert_int_equal(err.code, ERR_MEMORY);
    mem_fail_after(0);
    mem_fail_after(-1);
    void *memory = mem_try(1, 1, "a", &err);
    assert_non_null(memory);
    free(memory);
}

static void multiplies_and_adds_only_what_fits(void **state)
{
    size_t out = 77;

    (void)state;
    assert_false(mem_multiply(SIZE_MAX, 2, &out));
    assert_false(mem_add(SIZE_MAX, 1, &out));
    assert_int_equal(out, 77);
    assert_true(mem_multiply(SIZE_MAX, 1, &out));
    assert_true(out == SIZE_MAX);
    assert_true(mem_multiply(SIZE_MAX, 0, &out));
    assert_int_equal(out, 0);
    assert_true(mem_add(SIZE_MAX - 1, 1, &out));
    assert_true(out == SIZE_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gives_zeroed_memory),
        cmocka_unit_test(gives_memory_for_nothing_too),
        cmocka_unit_test(keeps_contents_when_resized),
        cmocka_unit_test(copies_texts),
        cmocka_unit_test(ends_the_process_when_a_small_thing_does_not_fit),
        cmocka_unit_test(says_no_to_sizes_that_overflow),
        cmocka_unit_test(aligns_blocks_to_a_cache_line),
        cmocka_unit_test(fails_the_allocation_that_a_test_names),
        cmocka_unit_test(multiplies_and_adds_only_what_fits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
