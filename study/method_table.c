/*
 * method_table.c - the table of merge methods as README shows it.
 */
#include "study/method_table.h"

static void add_count(struct text *out, const struct method *method)
{
    if (method->sources_min == method->sources_max) {
        text_printf(out, "%zu", method->sources_min);
    } else {
        text_printf(out, "%zu or more", method->sources_min);
    }
}

void method_table_inputs(struct text *out, const struct method *method)
{
    text_add(out, method->needs_base ? "a base and " : "");
    add_count(out, method);
    text_add(out, method->takes_base ? ", on a base or not" : "");
}

static void add_parameters(struct text *out, const struct method *method)
{
    for (size_t i = 0; i < method->n_parameters; i++) {
        text_printf(out, "%s`%s`", i > 0 ? ", " : "", method->parameters[i].name);
    }
}

void method_table_print(struct text *out)
{
    size_t n;
    const struct method *methods = method_list(&n);

    text_add(out,
             "| method | what it does | merges | parameters | after |\n|---|---|---|---|---|\n");
    for (size_t m = 0; m < n; m++) {
        text_printf(out, "| `%s` | %s | ", methods[m].name, methods[m].about);
        method_table_inputs(out, &methods[m]);
        text_add(out, " | ");
        add_parameters(out, &methods[m]);
        text_printf(out, " | %s |\n", methods[m].paper);
    }
}
