/*
 * power.c - see power.h.
 *
 * A file is two images: `disk`, what is durable, and `seen`, what the system shows until the cut. A
 * write changes seen and marks its sectors; a sync copies seen to disk and clears the marks. At the
 * cut each marked sector is drawn: a third is lost, a third is kept, a third keeps only its first
 * part; an unsynced length is either the old or the new one.
 */
#include "tests/sim/power.h"

#include <assert.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"

#define FILES_MAX 8
#define SECTOR 512
#define REGIONS_MAX 64

struct image {
    unsigned char *bytes;
    size_t size;
};

struct file {
    char *name;
    bool exists;
    struct image disk, seen;
    bool *marked; /* sectors of seen that are not synced */
    size_t n_marked;
};

/* What SQLite holds. */
struct handle {
    sqlite3_file base;
    struct file *file;
    void *regions[REGIONS_MAX];
};

static struct {
    sqlite3_vfs vfs;
    sqlite3_vfs *old;
    struct file files[FILES_MAX];
    struct rng64 rng;
    long cut_after, fail_after;
    bool out, failed;
} power;

/* ---- images ---- */

static void image_resize(struct image *image, size_t size)
{
    if (size > image->size) {
        image->bytes = mem_resize(image->bytes, size, 1);
        memset(image->bytes + image->size, 0, size - image->size);
    }
    image->size = size;
}

static void mark(struct file *file, size_t from, size_t to)
{
    size_t n = (file->seen.size + SECTOR - 1) / SECTOR;

    if (n > file->n_marked) {
        file->marked = mem_resize(file->marked, n, sizeof(bool));
        memset(file->marked + file->n_marked, 0, n - file->n_marked);
        file->n_marked = n;
    }
    for (size_t s = from / SECTOR; s * SECTOR < to && s < n; s++) {
        file->marked[s] = true;
    }
}

static void sync_image(struct file *file)
{
    image_resize(&file->disk, file->seen.size);
    if (file->seen.size > 0) {
        memcpy(file->disk.bytes, file->seen.bytes, file->seen.size);
    }
    memset(file->marked, 0, file->n_marked * sizeof(bool));
}

static void forget(struct file *file)
{
    free(file->disk.bytes);
    free(file->seen.bytes);
    free(file->marked);
    *file = (struct file){.name = file->name};
}

static struct file *find(const char *name, bool make)
{
    struct file *spare = NULL;

    for (size_t i = 0; i < FILES_MAX; i++) {
        if (power.files[i].name != NULL && strcmp(power.files[i].name, name) == 0) {
            return &power.files[i];
        }
        if (power.files[i].name == NULL && spare == NULL) {
            spare = &power.files[i];
        }
    }
    if (make) {
        assert(spare != NULL);
        spare->name = mem_text(name);
    }
    return make ? spare : NULL;
}

/* ---- the cut ---- */

/* What becomes of an operation that changes something. */
enum fate {
    WORKS,
    FAILS, /* as asked for, once */
    LAST,  /* the power goes while it is under way */
    DARK
};

static enum fate fate(void)
{
    if (power.out) {
        return DARK;
    }
    if (power.fail_after >= 0 && power.fail_after-- == 0) {
        power.failed = true;
        return FAILS;
    }
    if (power.cut_after >= 0 && power.cut_after-- == 0) {
        power.out = true;
        return LAST;
    }
    return WORKS;
}

static void settle_sector(struct file *file, size_t s)
{
    size_t from = s * SECTOR,
           to = from + SECTOR < file->disk.size ? from + SECTOR : file->disk.size;
    size_t keep = 0;

    if (from >= to) {
        return;
    }
    switch (rng64_below(&power.rng, 3)) {
    case 0:
        break;
    case 1:
        keep = to - from;
        break;
    default:
        keep = (size_t)rng64_below(&power.rng, to - from);
    }
    if (from + keep > file->seen.size) {
        keep = file->seen.size > from ? file->seen.size - from : 0;
    }
    if (keep > 0) {
        memcpy(file->disk.bytes + from, file->seen.bytes + from, keep);
    }
}

static void settle(struct file *file)
{
    if (rng64_below(&power.rng, 2) == 0 || file->seen.size > file->disk.size) {
        /* A longer file may have any length in between: what was not kept of it is zeros. */
        size_t longer = file->seen.size > file->disk.size ? file->seen.size - file->disk.size : 0;

        image_resize(&file->disk,
                     longer > 0 ? file->disk.size + (size_t)rng64_below(&power.rng, longer + 1)
                                : file->seen.size);
    }
    for (size_t s = 0; s < file->n_marked; s++) {
        if (file->marked[s]) {
            settle_sector(file, s);
        }
    }
    image_resize(&file->seen, file->disk.size);
    if (file->disk.size > 0) {
        memcpy(file->seen.bytes, file->disk.bytes, file->disk.size);
    }
    if (file->n_marked > 0) {
        memset(file->marked, 0, file->n_marked * sizeof(bool));
    }
}

/* ---- files ---- */

static int close_file(sqlite3_file *file)
{
    struct handle *handle = (struct handle *)file;

    for (size_t i = 0; i < REGIONS_MAX; i++) {
        free(handle->regions[i]);
        handle->regions[i] = NULL;
    }
    return SQLITE_OK;
}

static int read_file(sqlite3_file *file, void *out, int n, sqlite3_int64 at)
{
    const struct image *seen = &((struct handle *)file)->file->seen;
    size_t from = (size_t)at, want = (size_t)n;

    if (power.out) {
        return SQLITE_IOERR_READ;
    }
    size_t have = from < seen->size ? seen->size - from : 0;
    if (have >= want) {
        memcpy(out, seen->bytes + from, want);
        return SQLITE_OK;
    }
    memset(out, 0, want);
    if (have > 0) {
        memcpy(out, seen->bytes + from, have);
    }
    return SQLITE_IOERR_SHORT_READ;
}

static int write_file(sqlite3_file *file, const void *bytes, int n, sqlite3_int64 at)
{
    struct file *target = ((struct handle *)file)->file;
    size_t from = (size_t)at, to = from + (size_t)n;

    enum fate what = fate();
    if (what == FAILS || what == DARK) {
        return SQLITE_IOERR_WRITE;
    }
    if (to > target->seen.size) {
        image_resize(&target->seen, to);
    }
    memcpy(target->seen.bytes + from, bytes, (size_t)n);
    mark(target, from, to);
    return what == WORKS ? SQLITE_OK : SQLITE_IOERR_WRITE;
}

static int truncate_file(sqlite3_file *file, sqlite3_int64 size)
{
    struct file *target = ((struct handle *)file)->file;

    if (fate() != WORKS) {
        return SQLITE_IOERR_TRUNCATE;
    }
    image_resize(&target->seen, (size_t)size);
    return SQLITE_OK;
}

static int sync_file(sqlite3_file *file, int flags)
{
    (void)flags;
    if (fate() != WORKS) {
        return SQLITE_IOERR_FSYNC;
    }
    sync_image(((struct handle *)file)->file);
    return SQLITE_OK;
}

static int size_of_file(sqlite3_file *file, sqlite3_int64 *out)
{
    if (power.out) {
        return SQLITE_IOERR_FSTAT;
    }
    *out = (sqlite3_int64)((struct handle *)file)->file->seen.size;
    return SQLITE_OK;
}

static int lock_file(sqlite3_file *file, int level)
{
    (void)file;
    (void)level;
    return SQLITE_OK; /* one connection at a time */
}

static int is_reserved(sqlite3_file *file, int *out)
{
    (void)file;
    *out = 0;
    return SQLITE_OK;
}

static int control_file(sqlite3_file *file, int what, void *argument)
{
    (void)file;
    (void)what;
    (void)argument;
    return SQLITE_NOTFOUND;
}

static int sector_size(sqlite3_file *file)
{
    (void)file;
    return SECTOR;
}

static int characteristics(sqlite3_file *file)
{
    (void)file;
    return SQLITE_IOCAP_POWERSAFE_OVERWRITE; /* as SQLite's own for Unix */
}

static int map_memory(sqlite3_file *file, int region, int size, int extend, void volatile **out)
{
    struct handle *handle = (struct handle *)file;

    assert(region < REGIONS_MAX);
    if (handle->regions[region] == NULL && extend) {
        handle->regions[region] = mem_array((size_t)size, 1);
    }
    *out = handle->regions[region];
    return SQLITE_OK;
}

static int lock_memory(sqlite3_file *file, int offset, int n, int flags)
{
    (void)file;
    (void)offset;
    (void)n;
    (void)flags;
    return SQLITE_OK;
}

static void memory_barrier(sqlite3_file *file)
{
    (void)file;
}

static int unmap_memory(sqlite3_file *file, int delete_flag)
{
    (void)delete_flag;
    return close_file(file);
}

static const sqlite3_io_methods methods = {
    .iVersion = 2,
    .xClose = close_file,
    .xRead = read_file,
    .xWrite = write_file,
    .xTruncate = truncate_file,
    .xSync = sync_file,
    .xFileSize = size_of_file,
    .xLock = lock_file,
    .xUnlock = lock_file,
    .xCheckReservedLock = is_reserved,
    .xFileControl = control_file,
    .xSectorSize = sector_size,
    .xDeviceCharacteristics = characteristics,
    .xShmMap = map_memory,
    .xShmLock = lock_memory,
    .xShmBarrier = memory_barrier,
    .xShmUnmap = unmap_memory,
};

/* ---- the folder: making and deleting are durable at once ---- */

static int open_file(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags,
                     int *out_flags)
{
    struct handle *handle = (struct handle *)file;

    (void)vfs;
    memset(handle, 0, sizeof(*handle));
    if (power.out || name == NULL) {
        return SQLITE_CANTOPEN;
    }
    handle->file = find(name, true);
    handle->file->exists = true;
    handle->base.pMethods = &methods;
    if (out_flags != NULL) {
        *out_flags = flags;
    }
    return SQLITE_OK;
}

static int delete_file(sqlite3_vfs *vfs, const char *name, int sync_folder)
{
    struct file *file = find(name, false);

    (void)vfs;
    (void)sync_folder;
    if (file == NULL || !file->exists) {
        return SQLITE_IOERR_DELETE_NOENT;
    }
    if (fate() != WORKS) {
        return SQLITE_IOERR_DELETE;
    }
    forget(file);
    return SQLITE_OK;
}

static int access_file(sqlite3_vfs *vfs, const char *name, int flags, int *out)
{
    const struct file *file = find(name, false);

    (void)vfs;
    (void)flags;
    *out = file != NULL && file->exists;
    return SQLITE_OK;
}

static int full_name(sqlite3_vfs *vfs, const char *name, int room, char *out)
{
    (void)vfs;
    sqlite3_snprintf(room, out, "%s", name);
    return SQLITE_OK;
}

void power_begin(uint64_t seed)
{
    memset(&power, 0, sizeof(power));
    power.old = sqlite3_vfs_find(NULL);
    power.vfs = *power.old;
    power.vfs.pNext = NULL;
    power.vfs.zName = "power";
    power.vfs.szOsFile = (int)sizeof(struct handle);
    power.vfs.xOpen = open_file;
    power.vfs.xDelete = delete_file;
    power.vfs.xAccess = access_file;
    power.vfs.xFullPathname = full_name;
    power.cut_after = power.fail_after = -1;
    rng64_seed(&power.rng, seed, 1);
    sqlite3_vfs_register(&power.vfs, 1);
}

void power_end(void)
{
    sqlite3_vfs_unregister(&power.vfs);
    sqlite3_vfs_register(power.old, 1);
    for (size_t i = 0; i < FILES_MAX; i++) {
        forget(&power.files[i]);
        free(power.files[i].name);
    }
}

void power_cut_after(long operations)
{
    power.cut_after = operations;
}

bool power_is_out(void)
{
    return power.out;
}

void power_restore(void)
{
    for (size_t i = 0; i < FILES_MAX; i++) {
        if (power.files[i].exists) {
            settle(&power.files[i]);
        }
    }
    power.out = false;
    power.cut_after = -1;
}

void power_fail_after(long operations)
{
    power.fail_after = operations;
    power.failed = false;
}

bool power_has_failed(void)
{
    return power.failed;
}
