/*
 * cmd_methods.c - braid methods: the table of merge methods, as study/method.c declares it.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/doc.h"
#include "base/text.h"
#include "cli/command.h"
#include "study/method_table.h"

static const char *scope_name(const struct method_parameter *parameter)
{
    return parameter->scope == METHOD_SOURCE ? "a source" : "whole";
}

static void print_bound(double bound)
{
    if (isinf(bound)) {
        printf("%s", bound < 0 ? "-inf" : "inf");
    } else {
        printf("%g", bound);
    }
}

static const char *kind_name(const struct method_parameter *parameter)
{
    static const char *const names[] = {
        [METHOD_REAL] = "real", [METHOD_BOOL] = "switch", [METHOD_INTEGER] = "integer"};

    return names[parameter->kind];
}

static void print_method(const struct method *method)
{
    struct text inputs = {0};

    method_table_inputs(&inputs, method);
    printf("%s\n  %s\n  %s; merges %s\n", method->name, method->about, method->paper,
           text_get(&inputs));
    text_release(&inputs);
    for (size_t i = 0; i < method->n_parameters; i++) {
        const struct method_parameter *p = &method->parameters[i];

        printf("    %-17s %-8s %-7s  default %-5g [", p->name, scope_name(p), kind_name(p),
               p->fallback);
        print_bound(p->lower);
        printf(", ");
        print_bound(p->upper);
        printf("]  %s\n", p->about);
    }
}

static json_t *bound_doc(double bound)
{
    return isinf(bound) ? json_null() : json_real(bound);
}

static json_t *method_doc(const struct method *method)
{
    json_t *parameters = json_array();

    for (size_t i = 0; i < method->n_parameters; i++) {
        const struct method_parameter *p = &method->parameters[i];

        json_array_append_new(parameters,
                              json_pack("{s:s, s:s, s:s, s:f, s:o, s:o, s:s}", "name", p->name,
                                        "scope", p->scope == METHOD_SOURCE ? "source" : "whole",
                                        "kind", kind_name(p), "default", p->fallback, "lower",
                                        bound_doc(p->lower), "upper", bound_doc(p->upper), "about",
                                        p->about));
    }
    return json_pack("{s:s, s:s, s:s, s:b, s:b, s:[I, I], s:o}", "name", method->name, "about",
                     method->about, "paper", method->paper, "needs_base", method->needs_base,
                     "takes_base", method->needs_base || method->takes_base, "sources",
                     (json_int_t)method->sources_min, (json_int_t)method->sources_max, "parameters",
                     parameters);
}

struct arguments {
    bool json, markdown;
    const char *name;
};

static error_t parse_option(int key, char *value, struct argp_state *state)
{
    struct arguments *arguments = state->input;

    switch (key) {
    case 'j':
        arguments->json = true;
        return 0;
    case 'm':
        arguments->markdown = true;
        return 0;
    case ARGP_KEY_ARG:
        if (arguments->name != NULL) {
            argp_error(state, "one method at most");
        }
        arguments->name = value;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

int cmd_methods(int argc, char **argv)
{
    static const struct argp_option options[] = {
        {"json", 'j', NULL, 0, "print the table as JSON", 0},
        {"markdown", 'm', NULL, 0, "print all methods as README's table", 0},
        {0}};
    static const struct argp argp = {
        options,
        parse_option,
        "[METHOD]",
        "List the merge methods, their parameters, defaults and bounds.\v"
        "Example: braid methods ties",
        NULL,
        NULL,
        NULL};
    struct arguments arguments = {0};
    struct err err = {0};
    size_t n;
    const struct method *methods = method_list(&n);

    command_parse(&argp, argc, argv, &arguments);
    if (arguments.name != NULL) {
        if (method_find(&methods, arguments.name, &err) != 0) {
            return command_fail(argv[0], &err);
        }
        n = 1;
    }
    if (arguments.markdown) {
        struct text table = {0};

        method_table_print(&table);
        printf("%s", text_get(&table));
        text_release(&table);
        return COMMAND_DONE;
    }
    json_t *list = json_array();
    for (size_t i = 0; i < n; i++) {
        if (arguments.json) {
            json_array_append_new(list, method_doc(&methods[i]));
        } else {
            print_method(&methods[i]);
        }
    }
    if (arguments.json) {
        struct text text = {0};

        doc_print_pretty(&text, list);
        printf("%s\n", text_get(&text));
        text_release(&text);
    }
    json_decref(list);
    return COMMAND_DONE;
}
