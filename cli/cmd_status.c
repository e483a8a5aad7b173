/*
 * cmd_status.c - braid status DB: how a study stands, running, finished or copied.
 */
#include <stdio.h>

#include "cli/command.h"
#include "cli/report.h"
#include "store/store.h"

struct arguments {
    const char *database;
    bool json;
};

static error_t parse_option(int key, char *value, struct argp_state *state)
{
    struct arguments *arguments = state->input;

    switch (key) {
    case 'j':
        arguments->json = true;
        return 0;
    default:
        return command_one(key, value, state, "database", &arguments->database);
    }
}

int cmd_status(int argc, char **argv)
{
    static const struct argp_option options[] = {{"json", 'j', NULL, 0, "print one JSON object", 0},
                                                 {0}};
    static const struct argp argp = {
        options,
        parse_option,
        "DATABASE",
        "Say how a study stands: progress, baselines, and at the end the final table.\v"
        "Example: braid status night.db",
        NULL,
        NULL,
        NULL};
    struct arguments arguments = {0};
    struct store *store = NULL;
    struct err err = {0};

    command_parse(&argp, argc, argv, &arguments);
    int rc = store_open_reader(&store, arguments.database, &err);
    if (rc == 0) {
        rc = report_print(store, arguments.json, stdout, &err);
    }
    store_close(store);
    return rc == 0 ? COMMAND_DONE : command_fail(argv[0], &err);
}
