/*
 * tokenizer_cache.c - a folder of images, the last used first.
 *
 * A file's time is when it was last used: using one sets it.
 */
#include "evaluator/model/tokenizer_cache.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "evaluator/model/tokenizer_image.h"

struct entry {
    char *path;
    struct timespec used;
};

/* A new string, or NULL: no absolute folder is set. */
static char *folder_path(void)
{
    const char *cache = getenv("XDG_CACHE_HOME");
    const char *home = getenv("HOME");

    if (cache != NULL && cache[0] == '/') {
        return file_join(cache, "braid/tokenizers");
    }
    return home != NULL && home[0] == '/' ? file_join(home, ".cache/braid/tokenizers") : NULL;
}

bool tokenizer_cache_map(struct file_map *out, const char *key)
{
    char *folder = folder_path();
    char *path = folder != NULL ? file_join(folder, key) : NULL;
    struct file_map map = {0};

    if (path != NULL && file_map(&map, path, NULL) == 0) {
        if (image_is_sealed(map.data, map.size, key)) {
            (void)utimensat(AT_FDCWD, path, NULL, 0);
            file_map_disown(&map);
            *out = map;
        } else {
            file_unmap(&map);
        }
    }
    free(path);
    free(folder);
    return map.data != NULL;
}

static int last_used_first(const void *a, const void *b)
{
    const struct timespec *left = &((const struct entry *)a)->used;
    const struct timespec *right = &((const struct entry *)b)->used;

    if (left->tv_sec != right->tv_sec) {
        return left->tv_sec < right->tv_sec ? 1 : -1;
    }
    return (left->tv_nsec < right->tv_nsec) - (left->tv_nsec > right->tv_nsec);
}

/* The regular files of a folder; what a crashed process left half-written is one too. */
static struct entry *list_files(const char *folder, size_t *n)
{
    struct entry *entries = NULL;
    DIR *list = opendir(folder);

    *n = 0;
    for (struct dirent *at; list != NULL && (at = readdir(list)) != NULL;) {
        char *path = file_join(folder, at->d_name);
        struct stat status;

        if (lstat(path, &status) != 0 || !S_ISREG(status.st_mode)) {
            free(path);
            continue;
        }
        entries = mem_resize(entries, *n + 1, sizeof *entries);
        entries[(*n)++] = (struct entry){path, status.st_mtim};
    }
    if (list != NULL) {
        closedir(list);
    }
    return entries;
}

static void drop_unused(const char *folder)
{
    size_t n = 0;
    struct entry *entries = list_files(folder, &n);

    if (n > 0) {
        qsort(entries, n, sizeof *entries, last_used_first);
    }
    for (size_t i = 0; i < n; i++) {
        if (i >= TOKENIZER_CACHE_KEPT) {
            (void)unlink(entries[i].path);
        }
        free(entries[i].path);
    }
    free(entries);
}

void tokenizer_cache_keep(const char *key, char *bytes, size_t n)
{
    char *folder = folder_path();

    if (folder != NULL && file_make_dirs(folder, NULL) == 0) {
        char *path = file_join(folder, key);

        image_seal(bytes, n, key);
        if (file_write(path, bytes, n, 0600, NULL) == 0) {
            drop_unused(folder);
        }
        free(path);
    }
    free(folder);
}
