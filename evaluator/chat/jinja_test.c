/*
 * jinja_test.c - what stands after `is`.
 */
#include "evaluator/chat/jinja_internal.h"

static bool is_type(struct value value, enum value_type type)
{
    return value.type == type;
}

/* ---- kinds ---- */

static struct value is_defined(struct machine *machine, struct value value,
                               const struct arguments *none)
{
    (void)machine;
    (void)none;
    return value_bool(!is_type(value, VALUE_UNDEFINED));
}

static struct value is_undefined(struct machine *machine, struct value value,
                                 const struct arguments *none)
{
    (void)machine;
    (void)none;
    return value_bool(is_type(value, VALUE_UNDEFINED));
}

static struct value is_none(struct machine *machine, struct value value,
                            const struct arguments *none)
{
    (void)machine;
    (void)none;
    return value_bool(is_type(value, VALUE_NONE));
}

static struct value is_boolean(struct machine *machine, struct value value,
                               const struct arguments *none)
{
    (void)machine;
    (void)none;
    return value_bool(is_type(value, VALUE_BOOL));
}

static struct value is_true(struct machine *machine, struct value value,
                            const struct arguments *none)
{
    (void)machine;
    (void)none;
    return value_bool(is_type(value, VALUE_BOOL) && value.integer == 1);
}

static struct value is_false(struct machine *machine, struct value value,
                             const struct arguments *none)
{
    (void)machine;
    (void)none;
    return value_bool(is_type(value, VALUE_BOOL) && value.integer == 0);
}

static struct value is_integer(struct machine *machine, struct value value,
                               const struct arguments *none)
{
    (void)machine;
    (void)none;
    return value_bool(is_type(value, VALUE_INTEGER));
}

static struct value is_float(struct machine *machine, struct value value,
                             const struct arguments *none)
{
    (void)machine;
    (void)none;
    return value_bool(is_type(value, VALUE_REAL));
}

/* To Python true and false are numbers too. */
static struct value is_number(struct machine *machine, struct value value,
                              const struct arguments *none)
{
    (void)machine;
    (void)none;
    return value_bool(value_is_number(value));
}

static struct value is_string(struct machine *machine, struct value value,
                              const struct arguments *none)
{
    (void)machine;
    (void)none;
    return value_bool(is_type(value, VALUE_STRING));
}

static struct value is_mapping(struct machine *machine, struct value value,
                               const struct arguments *none)
{
    (void)machine;
    (void)none;
    return value_bool(is_type(value, VALUE_DICT));
}

static struct value is_callable(struct machine *machine, struct value value,
                                const struct arguments *none)
{
    (void)machine;
    (void)none;
    return value_bool(is_type(value, VALUE_MACRO) || is_type(value, VALUE_FUNCTION));
}

/* Something undefined is an empty sequence. */
static struct value is_sequence(struct machine *machine, struct value value,
                                const struct arguments *none)
{
    (void)machine;
    (void)none;
    return value_bool(is_type(value, VALUE_STRING) || is_type(value, VALUE_DICT) ||
                      is_type(value, VALUE_UNDEFINED) ||
                      (is_type(value, VALUE_LIST) && value.list->kind != LIST_STREAM));
}

static struct value is_iterable(struct machine *machine, struct value value,
                                const struct arguments *none)
{
    (void)machine;
    (void)none;
    return value_bool(is_type(value, VALUE_STRING) || is_type(value, VALUE_DICT) ||
                      is_type(value, VALUE_UNDEFINED) || is_type(value, VALUE_LIST));
}

/* ---- numbers ---- */

static bool divides(struct machine *machine, struct value value, int64_t by, int64_t rest)
{
    if ((value.type != VALUE_INTEGER && value.type != VALUE_BOOL) || by == 0 || by == -1) {
        jinja_fail(machine, "odd, even and divisibleby are for whole numbers");
        return false;
    }
    return (value.integer % by + by) % by == rest;
}

static struct value is_odd(struct machine *machine, struct value value,
                           const struct arguments *none)
{
    (void)none;
    return value_bool(divides(machine, value, 2, 1));
}

static struct value is_even(struct machine *machine, struct value value,
                            const struct arguments *none)
{
    (void)none;
    return value_bool(divides(machine, value, 2, 0));
}

static struct value is_divisible(struct machine *machine, struct value value,
                                 const struct arguments *by)
{
    const int64_t number = by->all[0].type == VALUE_INTEGER ? by->all[0].integer : 0;

    return value_bool(divides(machine, value, number, 0));
}

/* ---- against another ---- */

static struct value is_equal(struct machine *machine, struct value value,
                             const struct arguments *other)
{
    return value_bool(value_equal(machine, value, other->all[0]));
}

static struct value is_unequal(struct machine *machine, struct value value,
                               const struct arguments *other)
{
    return value_bool(!value_equal(machine, value, other->all[0]));
}

static struct value is_less(struct machine *machine, struct value value,
                            const struct arguments *other)
{
    return value_bool(value_order(machine, value, other->all[0]) < 0);
}

static struct value is_at_most(struct machine *machine, struct value value,
                               const struct arguments *other)
{
    return value_bool(value_order(machine, value, other->all[0]) <= 0);
}

static struct value is_greater(struct machine *machine, struct value value,
                               const struct arguments *other)
{
    return value_bool(value_order(machine, value, other->all[0]) > 0);
}

static struct value is_at_least(struct machine *machine, struct value value,
                                const struct arguments *other)
{
    return value_bool(value_order(machine, value, other->all[0]) >= 0);
}

static struct value is_in(struct machine *machine, struct value value,
                          const struct arguments *other)
{
    return value_bool(value_contains(machine, other->all[0], value));
}

/* Of what there is one of only. */
static struct value is_same(struct machine *machine, struct value value,
                            const struct arguments *other)
{
    const enum value_type type = other->all[0].type;

    if (type != VALUE_NONE && type != VALUE_BOOL) {
        return jinja_fail(machine, "sameas is supported for none, true and false");
    }
    return value_bool(value.type == type && value.integer == other->all[0].integer);
}

const struct callable jinja_tests[] = {
    {"defined", "", is_defined},
    {"undefined", "", is_undefined},
    {"none", "", is_none},
    {"boolean", "", is_boolean},
    {"true", "", is_true},
    {"false", "", is_false},
    {"integer", "", is_integer},
    {"float", "", is_float},
    {"number", "", is_number},
    {"string", "", is_string},
    {"mapping", "", is_mapping},
    {"sequence", "", is_sequence},
    {"iterable", "", is_iterable},
    {"callable", "", is_callable},
    {"odd", "", is_odd},
    {"even", "", is_even},
    {"divisibleby", "num", is_divisible},
    {"eq", "other", is_equal},
    {"equalto", "other", is_equal},
    {"==", "other", is_equal},
    {"ne", "other", is_unequal},
    {"!=", "other", is_unequal},
    {"lt", "other", is_less},
    {"lessthan", "other", is_less},
    {"<", "other", is_less},
    {"le", "other", is_at_most},
    {"<=", "other", is_at_most},
    {"gt", "other", is_greater},
    {"greaterthan", "other", is_greater},
    {">", "other", is_greater},
    {"ge", "other", is_at_least},
    {">=", "other", is_at_least},
    {"in", "seq", is_in},
    {"sameas", "other", is_same},
    {NULL, NULL, NULL},
};
