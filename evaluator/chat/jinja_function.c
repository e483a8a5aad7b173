/*
 * jinja_function.c - the functions that every template knows: range, dict and namespace of Jinja,
 * raise_exception and strftime_now of transformers.
 */
#include <stdlib.h>
#include <string.h>

#include "evaluator/chat/jinja_internal.h"

#define RANGE_MAX 100000

const char *jinja_function_name(enum function function)
{
    static const char *const names[] = {"range", "dict", "namespace", "raise_exception",
                                        "strftime_now"};

    return names[function];
}

static struct value make_range(struct machine *machine, const struct arguments *arguments)
{
    struct value made = value_list(machine);
    const size_t n = arguments->n;
    int64_t numbers[3] = {0, 0, 1};

    for (size_t i = 0; i < n; i++) {
        if (i == 3 || arguments->all[i].type != VALUE_INTEGER ||
            llabs(arguments->all[i].integer) > RANGE_MAX) {
            return jinja_fail(machine, "range: expected up to 3 numbers within %d", RANGE_MAX);
        }
        numbers[n == 1 ? 1 : i] = arguments->all[i].integer;
    }
    if (n == 0 || numbers[2] == 0) {
        return jinja_fail(machine, "range: without a number, or with a step of 0");
    }
    for (int64_t i = numbers[0];
         machine->rc == 0 && (numbers[2] > 0 ? i < numbers[1] : i > numbers[1]); i += numbers[2]) {
        value_append(machine, made.list, value_integer(i));
    }
    return made;
}

static struct value make_members(struct machine *machine, struct scope *scope, enum value_type type,
                                 const struct node *argument)
{
    struct value made = value_dict(machine);

    for (; machine->rc == 0 && argument != NULL; argument = argument->next) {
        if (argument->kind != NODE_KEYWORD) {
            return jinja_fail(machine, "dict and namespace: only name=value");
        }
        value_put(machine, made.dict, argument->value, jinja_evaluate(machine, scope, argument->a));
    }
    made.type = machine->rc == 0 ? type : VALUE_UNDEFINED;
    return made;
}

/* One directive of strftime as the C locale has it; false when it is not known. */
static bool add_date(struct text *out, const struct tm *date, char directive)
{
    static const char *const days[] = {"Sunday",   "Monday", "Tuesday", "Wednesday",
                                       "Thursday", "Friday", "Saturday"};
    static const char *const months[] = {"January",   "February", "March",    "April",
                                         "May",       "June",     "July",     "August",
                                         "September", "October",  "November", "December"};
    static const char known[] = "dmyHIMSj";
    const int numbers[] = {date->tm_mday,
                           date->tm_mon + 1,
                           date->tm_year % 100,
                           date->tm_hour,
                           (date->tm_hour + 11) % 12 + 1,
                           date->tm_min,
                           date->tm_sec,
                           date->tm_yday + 1};
    const char *at = strchr(known, directive);

    if (directive == 'a' || directive == 'A') {
        text_printf(out, "%.*s", directive == 'a' ? 3 : 9, days[date->tm_wday]);
    } else if (directive == 'b' || directive == 'B') {
        text_printf(out, "%.*s", directive == 'b' ? 3 : 9, months[date->tm_mon]);
    } else if (directive == 'Y') {
        text_printf(out, "%04d", date->tm_year + 1900);
    } else if (directive == 'p') {
        text_add(out, date->tm_hour < 12 ? "AM" : "PM");
    } else if (directive == '%') {
        text_add_char(out, '%');
    } else if (directive != '\0' && at != NULL) {
        text_printf(out, directive == 'j' ? "%03d" : "%02d", numbers[at - known]);
    } else {
        return false;
    }
    return true;
}

static struct value tell_date(struct machine *machine, struct value format)
{
    struct text text = {0};

    if (format.type != VALUE_STRING) {
        return jinja_fail(machine, "strftime_now: expected a format, got %s", value_kind(format));
    }
    for (size_t i = 0; i < format.size && jinja_spend(machine, 16); i++) {
        if (format.bytes[i] != '%') {
            text_add_char(&text, format.bytes[i]);
        } else if (++i == format.size || !add_date(&text, &machine->date, format.bytes[i])) {
            jinja_fail(machine, "strftime_now: a directive that is not supported in %.*s",
                       (int)format.size, format.bytes);
        }
    }
    const struct value made = value_copy(machine, text_get(&text), text.size);

    text_release(&text);
    return made;
}

struct value jinja_call_function(struct machine *machine, struct scope *scope,
                                 enum function function, const struct node *argument)
{
    struct arguments arguments = {0};

    if (function == FUNCTION_DICT || function == FUNCTION_NAMESPACE) {
        return make_members(machine, scope,
                            function == FUNCTION_DICT ? VALUE_DICT : VALUE_NAMESPACE, argument);
    }
    for (; argument != NULL; argument = argument->next) {
        if (arguments.n == ARGUMENTS_MAX || argument->kind == NODE_KEYWORD) {
            return jinja_fail(machine, "%s: its arguments", jinja_function_name(function));
        }
        arguments.all[arguments.n++] = jinja_evaluate(machine, scope, argument);
    }
    if (function == FUNCTION_RANGE) {
        return make_range(machine, &arguments);
    }
    if (function == FUNCTION_STRFTIME) {
        return tell_date(machine, arguments.all[0]);
    }
    const struct value words = value_text(machine, arguments.all[0]);

    return jinja_fail(machine, "the template refuses: %.*s", (int)words.size, words.bytes);
}
