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
#include "study/method.h"

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

static void print_method(const struct method *method)
{
    printf("%s\n  %s\n  %s; %s\n", method->name, method->about, method->paper,
           method->needs_base ? "needs a base" : "no base");
    for (size_t i = 0; i < method->n_parameters; i++) {
        const struct method_parameter *p = &method->parameters[i];

        printf("    %-10s %-9s default %-5g [", p->name, scope_name(p), p->fallback);
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
                              json_pack("{s:s, s:s, s:f, s:o, s:o, s:s}", "name", p->name, "scope",
                                        p->scope == METHOD_SOURCE ? "source" : "whole", "default",
                                        p->fallback, "lower", bound_doc(p->lower), "upper",
                                        bound_doc(p->upper), "about", p->about));
    }
    return json_pack("{s:s, s:s, s:s, s:b, s:o}", "name", method->name, "about", method->about,
                     "paper", method->paper, "needs_base", method->needs_base, "parameters",
                     parameters);
}

struct arguments {
    bool json;
    const char *name;
};

static error_t parse_option(int key, char *value, struct argp_state *state)
{
    struct arguments *arguments = state->input;

    switch (key) {
    case 'j':
        arguments->json = true;
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
        {"json", 'j', NULL, 0, "print the table as JSON", 0}, {0}};
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
