/*
 * scratch.c - an unnamed temporary file and its map.
 */
#include "base/scratch.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/mem.h"

static const char *scratch_root(void)
{
    const char *root = getenv("TMPDIR");

    return root != NULL && *root != '\0' ? root : "/tmp";
}

int scratch_open(struct scratch *out, struct err *err)
{
    char *path = mem_printf("%s/braid-scratch-XXXXXX", scratch_root());
    const int fd = mkstemp(path);
    int rc = 0;

    if (fd < 0) {
        rc = err_set_errno(err, ERR_IO, "%s: no temporary file", scratch_root());
    } else {
        unlink(path);
        fcntl(fd, F_SETFD, FD_CLOEXEC);
        *out = (struct scratch){.open = true, .fd = fd};
    }
    free(path);
    return rc;
}

int scratch_add(struct scratch *scratch, const void *bytes, size_t n, struct err *err)
{
    const char *at = bytes;

    assert(scratch->open);
    for (size_t left = n; left > 0;) {
        const ssize_t written = write(scratch->fd, at, left);

        if (written < 0 && errno != EINTR) {
            return err_set_errno(err, ERR_IO, "%s: temporary file of %zu bytes", scratch_root(),
                                 scratch->size + n);
        }
        if (written > 0) {
            at += written;
            left -= (size_t)written;
        }
    }
    scratch->size += n;
    return 0;
}

int scratch_align(struct scratch *scratch, size_t to, struct err *err)
{
    static const char zeros[4096];
    const size_t past = scratch->size % to;

    assert(to <= sizeof(zeros));
    return past == 0 ? 0 : scratch_add(scratch, zeros, to - past, err);
}

int scratch_map(const struct scratch *scratch, struct file_map *out, struct err *err)
{
    void *data = NULL;

    if (scratch->size > 0) {
        data = mmap(NULL, scratch->size, PROT_READ, MAP_PRIVATE, scratch->fd, 0);
        if (data == MAP_FAILED) {
            return err_set_errno(err, ERR_IO, "%s: map of a temporary file of %zu bytes",
                                 scratch_root(), scratch->size);
        }
    }
    *out = (struct file_map){.data = data, .size = scratch->size};
    if (data != NULL) {
        file_map_adopt(out);
    }
    return 0;
}

void scratch_close(struct scratch *scratch)
{
    if (scratch->open) {
        close(scratch->fd);
    }
    *scratch = (struct scratch){0};
}
