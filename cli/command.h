/*
 * command.h - what every command shares: its row in the table, exit codes, the parsing of
 * arguments.
 */
#ifndef CLI_COMMAND_H
#define CLI_COMMAND_H

#include <argp.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

#define BRAID_VERSION "0.1.0"

enum command_exit {
    COMMAND_DONE = 0,
    COMMAND_FAILED = 1,
    COMMAND_USAGE = 2,
    COMMAND_STOPPED = 3 /* by a signal, with everything saved, or nothing left behind */
};

/* argv[0] is "braid NAME", for messages. */
int cmd_search(int argc, char **argv);
int cmd_serve(int argc, char **argv);
int cmd_work(int argc, char **argv);
int cmd_check(int argc, char **argv);
int cmd_eval(int argc, char **argv);
int cmd_export(int argc, char **argv);
int cmd_merge(int argc, char **argv);
int cmd_show(int argc, char **argv);
int cmd_recipe(int argc, char **argv);
int cmd_status(int argc, char **argv);
int cmd_methods(int argc, char **argv);
int cmd_import(int argc, char **argv);
int cmd_inspect(int argc, char **argv);
int cmd_version(int argc, char **argv);

/* Print "braid NAME: text" and give COMMAND_FAILED, or COMMAND_STOPPED for ERR_STOPPED. */
int command_fail(const char *name, const struct err *err);

/* Run argp; unknown options and wrong counts print one line and a hint, and exit with
 * COMMAND_USAGE. */
void command_parse(const struct argp *argp, int argc, char **argv, void *input);

/* The default of an option parser of a command with one argument, kept in *slot; too many or none
 * is "one study, please" or "which study?" where what is "study". */
error_t command_one(int key, char *value, struct argp_state *state, const char *what,
                    const char **slot);

/* SIGINT and SIGTERM set a flag instead of ending the process; SIGPIPE is ignored. */
void command_catch_signals(void);
bool command_stopped(void);

/* The file of the running program, to start it again as a worker; free() it. */
char *command_program(void);

/* Milliseconds: of CLOCK_BOOTTIME, for deadlines; of the calendar, for people. */
int64_t command_now_ms(void);
int64_t command_calendar_ms(void);

#endif
