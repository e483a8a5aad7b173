/*
 * replay.c - the main of a fuzz target that is built without libFuzzer.
 *
 * Runs the target on each file named, and on each file in each folder named. A crash, a sanitizer's
 * complaint or a property that aborts fails the run; so does finding no file at all.
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"

#define SEED_SIZE_MAX ((size_t)16 << 20)

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

static void replay_file(const char *path)
{
    struct file_bytes bytes = {0};
    struct err err = {0};

    fprintf(stderr, "%s\n", path); /* before the run, so that a crash has a name */
    if (file_read(&bytes, path, SEED_SIZE_MAX, &err) != 0) {
        fprintf(stderr, "%s\n", err.text);
        exit(1);
    }
    /* No terminator behind it, so that a sanitizer sees a read past the end. */
    uint8_t *exact = mem_alloc(bytes.size);

    memcpy(exact, bytes.data, bytes.size);
    LLVMFuzzerTestOneInput(exact, bytes.size);
    free(exact);
    file_release(&bytes);
}

static size_t replay_folder(const char *path)
{
    struct dirent **entries = NULL;
    int n = scandir(path, &entries, NULL, alphasort);
    size_t n_files = 0;

    for (int i = 0; i < n; i++) {
        char *file = file_join(path, entries[i]->d_name);

        if (!file_is_dir(file)) {
            replay_file(file);
            n_files++;
        }
        free(file);
        free(entries[i]);
    }
    free(entries);
    return n_files;
}

int main(int argc, char **argv)
{
    size_t n_files = 0;

    for (int i = 1; i < argc; i++) {
        if (file_is_dir(argv[i])) {
            n_files += replay_folder(argv[i]);
        } else {
            replay_file(argv[i]);
            n_files++;
        }
    }
    printf("%zu inputs\n", n_files);
    return n_files > 0 ? 0 : 1;
}
