/*
 * file.c - files read whole or mapped, and written so that a crash leaves the old or the new.
 *
 *   file_write:  open  .braid-<pid>-<n>.tmp  beside path      new name, nobody reads it
 *                write, fsync, close                          bytes are on the disk
 *                rename over path                             readers see all or nothing
 *                fsync the folder                             the name is on the disk
 *
 * Until the rename the old file stands untouched. When only the last step fails, the new file is in
 * place but may not survive a power cut, and the call says ERR_IO.
 */
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"

#define TEMP_NAMES_MAX 100  /* names to try when a crashed process left its own behind */
#define TREE_DESCRIPTORS 16 /* folders that file_remove_tree keeps open at once */

static int set_open_error(struct err *err, const char *path)
{
    enum err_code code = errno == ENOENT || errno == ENOTDIR ? ERR_MISSING : ERR_IO;

    return err_set_errno(err, code, "%s", path);
}

/* Open a regular file for reading; the caller closes *fd. A pipe does not make open wait. */
static int open_regular(int *fd, struct stat *status, const char *path, struct err *err)
{
    int opened = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

    if (opened < 0) {
        return set_open_error(err, path);
    }
    if (fstat(opened, status) != 0) {
        int rc = err_set_errno(err, ERR_IO, "%s", path);

        close(opened);
        return rc;
    }
    if (!S_ISREG(status->st_mode)) {
        close(opened);
        return err_set(err, ERR_IO, "%s: not a regular file", path);
    }
    *fd = opened;
    return 0;
}

/* read(2) that goes on after a signal. */
static ssize_t read_some(int fd, char *to, size_t n)
{
    ssize_t got;

    do {
        got = read(fd, to, n);
    } while (got < 0 && errno == EINTR);
    return got;
}

/* Double the buffer, of which all `capacity` bytes are in use. */
static int grow(char **data, size_t *capacity, const char *path, struct err *err)
{
    size_t doubled;

    if (!mem_multiply(*capacity, 2, &doubled)) {
        return err_set(err, ERR_LIMIT, "%s: too large", path);
    }
    char *larger = mem_try(doubled, 1, path, err);

    if (larger == NULL) {
        return ERR_MEMORY;
    }
    memcpy(larger, *data, *capacity);
    free(*data);
    *data = larger;
    *capacity = doubled;
    return 0;
}

static int set_too_large(struct err *err, const char *path, size_t size_max)
{
    return err_set(err, ERR_LIMIT, "%s: larger than %zu bytes", path, size_max);
}

/*
 * The size that fstat gave is where to start, not what to trust: a file may grow meanwhile, and
 * those of /proc say 0. One byte more than expected leaves room for the end to show itself, and for
 * the terminator.
 */
static int read_to_end(struct file_bytes *out, int fd, size_t expected, size_t size_max,
                       const char *path, struct err *err)
{
    size_t capacity = expected + 1;
    size_t size = 0;
    ssize_t got;
    int rc = 0;
    char *data = mem_try(capacity, 1, path, err);

    if (data == NULL) {
        return ERR_MEMORY;
    }
    while ((got = read_some(fd, data + size, capacity - size)) > 0) {
        size += (size_t)got;
        if (size > size_max) {
            rc = set_too_large(err, path, size_max);
            goto out;
        }
        if (size == capacity) {
            rc = grow(&data, &capacity, path, err);
            if (rc != 0) {
                goto out;
            }
        }
    }
    if (got < 0) {
        rc = err_set_errno(err, ERR_IO, "%s", path);
        goto out;
    }
    data[size] = '\0';
    *out = (struct file_bytes){data, size};
    data = NULL; /* handed over */

out:
    free(data);
    return rc;
}

int file_read(struct file_bytes *out, const char *path, size_t size_max, struct err *err)
{
    struct stat status = {0};
    int fd = -1;
    int rc = open_regular(&fd, &status, path, err);

    if (rc != 0) {
        return rc;
    }
    if ((uintmax_t)status.st_size > size_max) {
        rc = set_too_large(err, path, size_max);
    } else {
        rc = read_to_end(out, fd, (size_t)status.st_size, size_max, path, err);
    }
    close(fd);
    return rc;
}

void file_release(struct file_bytes *bytes)
{
    free(bytes->data);
    *bytes = (struct file_bytes){0};
}

/* ---- maps ---- */

/* Where the maps of this process lie, so that nothing else is ever dropped. */
static struct {
    bool drop; /* what is passed */
    size_t n;
    struct {
        struct file_map map;
        char *path; /* NULL: of a file without a name */
    } * list;
} mapped;

static void remember_map(const struct file_map *map, char *path)
{
    mapped.list = mem_resize(mapped.list, mapped.n + 1, sizeof(*mapped.list));
    mapped.list[mapped.n].map = *map;
    mapped.list[mapped.n++].path = path;
}

void file_map_adopt(const struct file_map *map)
{
    remember_map(map, NULL);
}

static void forget_map(const struct file_map *map)
{
    for (size_t i = 0; i < mapped.n; i++) {
        if (mapped.list[i].map.data == map->data) {
            free(mapped.list[i].path);
            mapped.list[i] = mapped.list[--mapped.n];
            break;
        }
    }
    if (mapped.n == 0) {
        free(mapped.list);
        mapped.list = NULL;
    }
}

void file_map_disown(const struct file_map *map)
{
    forget_map(map);
}

void file_drop_passed(void)
{
    mapped.drop = true;
}

/* Drop the pages of maps that have a part in [from, to). */
static void drop_pages(uintptr_t from, uintptr_t to)
{
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);

    from -= from % page;
    for (size_t i = 0; i < mapped.n; i++) {
        uintptr_t begin = (uintptr_t)mapped.list[i].map.data;
        uintptr_t end = begin + mapped.list[i].map.size;
        uintptr_t first = from > begin ? from : begin;
        uintptr_t last = to < end ? to : end;

        if (first < last) {
            (void)madvise((void *)first, last - first, MADV_DONTNEED);
        }
    }
}

void file_passed(const void *from, size_t n)
{
    uintptr_t first = (uintptr_t)from / FILE_STEP;
    uintptr_t last = ((uintptr_t)from + n) / FILE_STEP;

    if (mapped.drop && last > first) { /* a border was crossed */
        drop_pages(first * FILE_STEP, last * FILE_STEP);
    }
}

void file_done(const void *from, size_t n)
{
    if (mapped.drop) {
        drop_pages((uintptr_t)from, (uintptr_t)from + n);
    }
}

int file_map(struct file_map *out, const char *path, struct err *err)
{
    struct stat status = {0};
    int fd = -1;
    int rc = open_regular(&fd, &status, path, err);

    if (rc != 0) {
        return rc;
    }
    size_t size = (size_t)status.st_size;
    void *data = NULL;

    if (size > 0) {
        data = mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (data == MAP_FAILED) {
            rc = err_set_errno(err, ERR_IO, "%s: cannot be mapped", path);
        }
    }
    if (rc == 0) {
        *out = (struct file_map){
            .data = data,
            .size = size,
            .mtime_ns = (int64_t)status.st_mtim.tv_sec * 1000000000 + status.st_mtim.tv_nsec,
            .inode = (uint64_t)status.st_ino,
            .device = (uint64_t)status.st_dev,
        };
        if (data != NULL) {
            remember_map(out, mem_text(path));
        }
    }
    close(fd);
    return rc;
}

void file_unmap(struct file_map *map)
{
    if (map->data != NULL) {
        forget_map(map);
        munmap((void *)map->data, map->size);
    }
    *map = (struct file_map){0};
}

int file_unchanged(const struct file_map *map, const char *path, struct err *err)
{
    struct stat now;

    if (stat(path, &now) != 0) {
        return err_set(err, ERR_CONFLICT, "%s: gone since it was opened", path);
    }
    int64_t mtime_ns = (int64_t)now.st_mtim.tv_sec * 1000000000 + now.st_mtim.tv_nsec;
    if ((size_t)now.st_size != map->size || mtime_ns != map->mtime_ns ||
        (uint64_t)now.st_ino != map->inode || (uint64_t)now.st_dev != map->device) {
        return err_set(err, ERR_CONFLICT, "%s: changed since it was opened", path);
    }
    return 0;
}

int file_maps_unchanged(struct err *err)
{
    int rc = 0;

    for (size_t i = 0; i < mapped.n && rc == 0; i++) {
        const char *path = mapped.list[i].path;

        rc = path != NULL ? file_unchanged(&mapped.list[i].map, path, err) : 0;
    }
    return rc;
}

/* A new file beside path: its descriptor, and *temp its name; -1 and errno when there is none. */
static int open_temp(char **temp, const char *path, unsigned mode)
{
    char *folder = file_folder(path);
    char *name = NULL;
    int fd = -1;

    errno = EEXIST;
    for (int n = 0; n < TEMP_NAMES_MAX && fd < 0 && errno == EEXIST; n++) {
        free(name);
        name = mem_printf("%s/.braid-%ld-%d.tmp", folder, (long)getpid(), n);
        fd = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, (mode_t)mode);
    }
    free(folder);
    *temp = name;
    return fd;
}

static int write_all(int fd, const char *bytes, size_t size)
{
    while (size > 0) {
        ssize_t written = write(fd, bytes, size);

        if (written < 0 && errno != EINTR) {
            return -1;
        }
        if (written > 0) {
            bytes += written;
            size -= (size_t)written;
        }
    }
    return 0;
}

/* Bytes into the open descriptor and onto the disk; closes it in any case. */
static int fill_and_close(int fd, const void *bytes, size_t size)
{
    int rc = write_all(fd, bytes, size);

    if (rc == 0) {
        rc = fsync(fd);
    }
    int reason = errno;

    if (close(fd) != 0 && rc == 0) {
        return -1;
    }
    errno = reason;
    return rc;
}

int file_write(const char *path, const void *bytes, size_t size, unsigned mode, struct err *err)
{
    char *temp = NULL;
    char *folder = NULL;
    int fd = open_temp(&temp, path, mode);
    int rc;

    if (fd < 0) {
        rc = set_open_error(err, path);
        goto out;
    }
    if (fill_and_close(fd, bytes, size) != 0 || rename(temp, path) != 0) {
        rc = err_set_errno(err, ERR_IO, "%s", path);
        unlink(temp);
        goto out;
    }
    folder = file_folder(path);
    rc = file_sync_dir(folder, err);

out:
    free(folder);
    free(temp);
    return rc;
}

/* Make one folder; one that is there already will do. */
static int make_dir(const char *path, struct err *err)
{
    if (mkdir(path, 0777) == 0) {
        return 0;
    }
    if (errno != EEXIST) {
        return set_open_error(err, path);
    }
    return file_is_dir(path) ? 0
                             : err_set(err, ERR_CONFLICT, "%s: is there and is no folder", path);
}

int file_make_dirs(const char *path, struct err *err)
{
    char *part = mem_text(path);
    int rc = 0;

    /* Cut the path behind each component in turn, then take it whole. */
    for (char *slash = strchr(part + (*part != '\0'), '/'); slash != NULL && rc == 0;
         slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        rc = make_dir(part, err);
        *slash = '/';
    }
    if (rc == 0) {
        rc = make_dir(part, err);
    }
    free(part);
    return rc;
}

int file_sync_dir(const char *path, struct err *err)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int rc = 0;

    if (fd < 0) {
        return set_open_error(err, path);
    }
    if (fsync(fd) != 0 && errno != EINVAL) { /* EINVAL: a file system that needs no such call */
        rc = err_set_errno(err, ERR_IO, "%s", path);
    }
    close(fd);
    return rc;
}

static int remove_entry(const char *path, const struct stat *status, int kind, struct FTW *where)
{
    (void)status;
    (void)kind;
    (void)where;
    return remove(path);
}

int file_remove_tree(const char *path, struct err *err)
{
    /* Children first, and a link is an entry like any other. */
    if (nftw(path, remove_entry, TREE_DESCRIPTORS, FTW_DEPTH | FTW_PHYS) != 0 && errno != ENOENT) {
        return err_set_errno(err, ERR_IO, "%s: cannot be removed", path);
    }
    return 0;
}

bool file_exists(const char *path)
{
    struct stat status;

    return stat(path, &status) == 0;
}

bool file_is_dir(const char *path)
{
    struct stat status;

    return stat(path, &status) == 0 && S_ISDIR(status.st_mode);
}

char *file_join(const char *folder, const char *name)
{
    size_t size = strlen(folder);
    bool needs_slash = size > 0 && folder[size - 1] != '/';

    return mem_printf("%s%s%s", folder, needs_slash ? "/" : "", name);
}

char *file_folder(const char *path)
{
    const char *slash = strrchr(path, '/');

    if (slash == NULL) {
        return mem_text(".");
    }
    return slash == path ? mem_text("/") : mem_text_n(path, (size_t)(slash - path));
}

char *file_resolve(const char *folder, const char *name)
{
    return name[0] == '/' ? mem_text(name) : file_join(folder, name);
}

int file_absolute(char **out, const char *path, struct err *err)
{
    char *made = realpath(path, NULL);

    if (made == NULL) {
        return set_open_error(err, path);
    }
    *out = made;
    return 0;
}

const char *file_name(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash != NULL ? slash + 1 : path;
}
