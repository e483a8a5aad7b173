/*
 * folder.c - made, locked, swept.
 */
#include "evaluator/program/folder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "evaluator/program/strays.h"

#define PREFIX "braid-eval-"
#define MEMORY "/dev/shm"
#define TRIES 100

/* ---- places ---- */

const char *folder_in_memory(void)
{
    return access(MEMORY, W_OK | X_OK) == 0 ? MEMORY : NULL;
}

/* MemAvailable of /proc/meminfo; UINT64_MAX when it is not said. */
static uint64_t available_memory(void)
{
    FILE *file = fopen("/proc/meminfo", "re");
    unsigned long long kib;
    char line[256];
    uint64_t found = UINT64_MAX;

    while (file != NULL && found == UINT64_MAX && fgets(line, sizeof line, file) != NULL) {
        if (sscanf(line, "MemAvailable: %llu kB", &kib) == 1) {
            found = kib * 1024;
        }
    }
    if (file != NULL) {
        fclose(file);
    }
    return found;
}

uint64_t folder_room(const char *where)
{
    struct statvfs status;

    if (statvfs(where, &status) != 0) {
        return 0;
    }
    const uint64_t room = (uint64_t)status.f_bavail * status.f_frsize;
    const uint64_t memory = strcmp(where, MEMORY) == 0 ? available_memory() : UINT64_MAX;

    return room < memory ? room : memory;
}

/* ---- one of them ---- */

/* The lock of a folder that is still where it was; -1 when another has it, or has removed it. */
static int lock_folder(const char *path)
{
    struct stat held, there;
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

    if (fd < 0) {
        return -1;
    }
    if (flock(fd, LOCK_EX | LOCK_NB) != 0 || fstat(fd, &held) != 0 || stat(path, &there) != 0 ||
        held.st_ino != there.st_ino || held.st_dev != there.st_dev) {
        close(fd);
        return -1;
    }
    return fd;
}

int folder_open(struct folder *out, const char *where, struct err *err)
{
    for (int i = 0; i < TRIES; i++) {
        char *path = mem_printf("%s/" PREFIX "XXXXXX", where);

        if (mkdtemp(path) == NULL) {
            const int rc = err_set_errno(err, ERR_IO, "%s: no temporary folder", where);

            free(path);
            return rc;
        }
        const int lock = lock_folder(path);

        if (lock >= 0) {
            *out = (struct folder){.path = path, .lock = lock};
            return 0;
        }
        free(path); /* someone swept between the two: another */
    }
    return err_set(err, ERR_IO, "%s: no temporary folder: it does not keep locks", where);
}

void folder_close(struct folder *folder)
{
    if (folder->path != NULL) {
        file_remove_tree(folder->path, NULL);
        close(folder->lock);
        free(folder->path);
    }
    *folder = (struct folder){0};
}

/* ---- those left behind ---- */

static bool is_ours(const char *path)
{
    struct stat status;

    return lstat(path, &status) == 0 && S_ISDIR(status.st_mode) && status.st_uid == geteuid();
}

void folder_sweep(const char *where)
{
    DIR *list = opendir(where);
    const struct dirent *entry;

    while (list != NULL && (entry = readdir(list)) != NULL) {
        if (strncmp(entry->d_name, PREFIX, strlen(PREFIX)) != 0) {
            continue;
        }
        char *path = file_join(where, entry->d_name);
        const int lock = is_ours(path) ? lock_folder(path) : -1;

        if (lock >= 0) {
            strays_kill(path);
            file_remove_tree(path, NULL);
            close(lock);
        }
        free(path);
    }
    if (list != NULL) {
        closedir(list);
    }
}
