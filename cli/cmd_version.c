/*
 * cmd_version.c - braid version: what this program is and what it computes with.
 */
#include <event2/event.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>

#include "cli/command.h"
#include "evaluator/model/gemm.h"

/* "scoring   amx2/avx512 (also f32, amx1)". */
static void print_numerics(void)
{
    const char *before = " (also ";

    printf("  scoring   %s", gemm_path(numeric_best()));
    for (int i = 0; i < NUMERIC_N; i++) {
        if ((enum numeric)i != numeric_best() && numeric_available((enum numeric)i)) {
            printf("%s%s", before, numeric_name((enum numeric)i));
            before = ", ";
        }
    }
    printf("%s\n", strcmp(before, ", ") == 0 ? ")" : "");
}

int cmd_version(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    printf("braid " BRAID_VERSION "\n");
    print_numerics();
    printf("  SQLite    %s\n", sqlite3_libversion());
    printf("  libevent  %s\n", event_get_version());
    return COMMAND_DONE;
}
