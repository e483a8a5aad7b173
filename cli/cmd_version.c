/*
 * cmd_version.c - braid version: what this program is and what it computes with.
 */
#include <event2/event.h>
#include <sqlite3.h>
#include <stdio.h>

#include "cli/command.h"
#include "evaluator/model/forward.h"

int cmd_version(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    printf("braid " BRAID_VERSION "\n");
    printf("  scoring   %s\n", forward_path());
    printf("  SQLite    %s\n", sqlite3_libversion());
    printf("  libevent  %s\n", event_get_version());
    return COMMAND_DONE;
}
