/*
 * strays.c - processes known by their environment, as /proc shows it.
 */
#include "evaluator/program/strays.h"

#include <ctype.h>
#include <dirent.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"

#define ENVIRON_MAX ((size_t)1 << 20)

/* Entries end in zero bytes. Those of other users cannot be read. */
static bool has_entry(const char *pid, const char *begins)
{
    char *path = mem_printf("/proc/%s/environ", pid);
    FILE *file = fopen(path, "re");
    char *entry = NULL;
    size_t capacity = 0, seen = 0;
    ssize_t n;
    bool found = false;

    while (file != NULL && !found && seen < ENVIRON_MAX &&
           (n = getdelim(&entry, &capacity, '\0', file)) > 0) {
        found = strncmp(entry, begins, strlen(begins)) == 0;
        seen += (size_t)n;
    }
    if (file != NULL) {
        fclose(file);
    }
    free(entry);
    free(path);
    return found;
}

void strays_kill(const char *folder)
{
    DIR *list = opendir("/proc");
    const struct dirent *entry;
    char *begins = mem_printf("BRAID_MODEL_DIR=%s/", folder);

    while (list != NULL && (entry = readdir(list)) != NULL) {
        const pid_t pid = isdigit((unsigned char)entry->d_name[0]) ? (pid_t)atol(entry->d_name) : 0;

        if (pid > 1 && pid != getpid() && has_entry(entry->d_name, begins)) {
            kill(pid, SIGKILL);
        }
    }
    if (list != NULL) {
        closedir(list);
    }
    free(begins);
}
