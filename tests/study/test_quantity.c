#include "study/quantity.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "base/rng.h"

static int64_t duration(const char *written)
{
    int64_t ms = -1;

    return quantity_duration(&ms, written, NULL) == 0 ? ms : -1;
}

static uint64_t size(const char *written)
{
    uint64_t bytes = 0;

    return quantity_size(&bytes, written, NULL) == 0 ? bytes : 0;
}

static int minute(const char *written)
{
    int at = -1;

    return quantity_time_of_day(&at, written, NULL) == 0 ? at : -1;
}

static void durations_are_milliseconds(void **state)
{
    (void)state;
    assert_int_equal(duration("1ms"), 1);
    assert_int_equal(duration("90s"), 90000);
    assert_int_equal(duration("10m"), 600000);
    assert_int_equal(duration("10min"), 600000);
    assert_int_equal(duration("8h"), 28800000);
    assert_int_equal(duration("2d"), 172800000);
    assert_int_equal(duration("1.5h"), 5400000);
    assert_int_equal(duration("0.5 s"), 500);
}

static void sizes_are_bytes(void **state)
{
    (void)state;
    assert_int_equal(size("512B"), 512);
    assert_int_equal(size("500MB"), 500000000);
    assert_int_equal(size("8GiB"), UINT64_C(8) << 30);
    assert_int_equal(size("1.5 KiB"), 1536);
    assert_int_equal(size("1152921504606846976B"), QUANTITY_SIZE_MAX);
}

static void times_of_day_are_minutes_after_midnight(void **state)
{
    (void)state;
    assert_int_equal(minute("00:00"), 0);
    assert_int_equal(minute("07:00"), 420);
    assert_int_equal(minute("23:59"), 1439);
}

static void what_is_no_duration_is_refused(void **state)
{
    const char *const wrong[] = {"",     "h",    "8",   "8 ",  "8  h", "-8h",
                                 "+8h",  "8H",   "1.h", ".5h", "1e3s", "0x10s",
                                 "infs", "nans", " 8h", "8h ", "8h1m", "1.2.3s"};
    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        assert_int_equal(duration(wrong[i]), -1);
    }
}

static void what_is_no_time_of_day_is_refused(void **state)
{
    const char *const wrong[] = {"", "7:00", "24:00", "12:60", "07-00", "07:00 ", "0700", "1:234"};

    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        assert_int_equal(minute(wrong[i]), -1);
    }
}

static void nothing_and_too_much_are_refused(void **state)
{
    int64_t ms = 7;
    struct err err = {0};

    (void)state;
    assert_int_equal(quantity_duration(&ms, "0.0001s", &err), ERR_LIMIT);
    assert_string_equal(err.text, "'0.0001s' is too small");
    assert_int_equal(quantity_duration(&ms, "99999999999999999999999999d", &err), ERR_LIMIT);
    assert_string_equal(err.text, "'99999999999999999999999999d' is too large");
    assert_int_equal(ms, 7);
    assert_int_equal(size("1152921504606846977B"), 0);
    assert_int_equal(size("99999999999999999999999.5TiB"), 0);
}

static void printing_takes_the_largest_unit_without_a_rest(void **state)
{
    struct text text = {0};

    (void)state;
    quantity_print_duration(&text, 28800000);
    text_add_char(&text, ' ');
    quantity_print_duration(&text, 5400000);
    text_add_char(&text, ' ');
    quantity_print_duration(&text, 1500);
    text_add_char(&text, ' ');
    quantity_print_size(&text, UINT64_C(8) << 30);
    text_add_char(&text, ' ');
    quantity_print_size(&text, 500000000);
    text_add_char(&text, ' ');
    quantity_print_size(&text, 1001);
    text_add_char(&text, ' ');
    quantity_print_time_of_day(&text, 425);
    assert_string_equal(text_get(&text), "8h 90m 1500ms 8GiB 500MB 1001B 07:05");
    text_release(&text);
}

static void what_is_printed_reads_back(void **state)
{
    struct rng64 rng;
    struct text text = {0};

    (void)state;
    rng64_seed(&rng, 1, 1);
    for (int i = 0; i < 20000; i++) {
        unsigned shift = (unsigned)rng64_below(&rng, 60);
        uint64_t bytes = 1 + rng64_below(&rng, (UINT64_C(2) << shift) - 1);
        int64_t ms = 1 + (int64_t)(bytes % QUANTITY_DURATION_MAX);

        text_clear(&text);
        quantity_print_size(&text, bytes);
        assert_int_equal(size(text_get(&text)), bytes);
        text_clear(&text);
        quantity_print_duration(&text, ms);
        assert_int_equal(duration(text_get(&text)), ms);
    }
    text_release(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(durations_are_milliseconds),
        cmocka_unit_test(sizes_are_bytes),
        cmocka_unit_test(times_of_day_are_minutes_after_midnight),
        cmocka_unit_test(what_is_no_duration_is_refused),
        cmocka_unit_test(what_is_no_time_of_day_is_refused),
        cmocka_unit_test(nothing_and_too_much_are_refused),
        cmocka_unit_test(printing_takes_the_largest_unit_without_a_rest),
        cmocka_unit_test(what_is_printed_reads_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
