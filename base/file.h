/*
 * file.h - read whole, map, write-then-rename.
 */
#ifndef BASE_FILE_H
#define BASE_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct file_bytes {
    char *data; /* terminated by a zero byte that size does not count */
    size_t size;
};

/* Read a regular file whole. ERR_MISSING when absent, ERR_LIMIT when larger than size_max, ERR_IO
 * otherwise. */
int file_read(struct file_bytes *out, const char *path, size_t size_max, struct err *err);
void file_release(struct file_bytes *bytes);

struct file_map {
    const unsigned char *data; /* read-only, private; NULL when size is 0 */
    size_t size;
    int64_t mtime_ns;
    uint64_t inode, device;
};

/* Map a regular file read-only; size is fstat's of the mapped descriptor. ERR_MISSING, ERR_IO. */
int file_map(struct file_map *out, const char *path, struct err *err);
void file_unmap(struct file_map *map);

/* 0 when the file at path still has the size, time and inode of the map; else ERR_CONFLICT. */
int file_unchanged(const struct file_map *map, const char *path, struct err *err);

/* The same of all maps that this process has. */
int file_maps_unchanged(struct err *err);

/* A map of a file without a name, made elsewhere (scratch.h), that file_unmap will end. */
void file_map_adopt(const struct file_map *map);

/* Of a map whose file is nobody's input and may be replaced: file_maps_unchanged no longer asks. */
void file_map_disown(const struct file_map *map);

/*
 * For a process that goes through its maps once: from now on it keeps no more of them in memory
 * than a step of FILE_STEP bytes a reader. What is behind stays in the system's cache, and is there
 * again when it is touched. A reader that goes forward says what it has read (file_passed), and
 * what it will not come back to (file_done). Both do nothing in other processes, nor to memory that
 * is no map of file_map.
 */
#define FILE_STEP ((size_t)2 << 20) /* a large page: whole ones are left at once */
void file_drop_passed(void);
void file_passed(const void *from, size_t n);
void file_done(const void *from, size_t n);

/* Write bytes to path: a temporary name beside it, fsync, rename, fsync of the folder. mode as in
 * open(2). On failure the old file stands and no temporary stays. */
int file_write(const char *path, const void *bytes, size_t size, unsigned mode, struct err *err);

/* Make a folder and its missing parents (0777 less umask). An existing folder is no error. */
int file_make_dirs(const char *path, struct err *err);

/* fsync a folder, so that renames inside it are durable. */
int file_sync_dir(const char *path, struct err *err);

/* Remove a folder and all in it (no link is followed). Missing is no error. */
int file_remove_tree(const char *path, struct err *err);

bool file_exists(const char *path);
bool file_is_dir(const char *path);

/* New strings, free() them: folder/name; the folder part of path ("." when none); name resolved
 * against folder unless it is absolute; the absolute form with links and dots resolved (ERR_MISSING
 * when absent). */
char *file_join(const char *folder, const char *name);
char *file_folder(const char *path);
char *file_resolve(const char *folder, const char *name);
int file_absolute(char **out, const char *path, struct err *err);

/* The last component, pointing into path. */
const char *file_name(const char *path);

#endif
