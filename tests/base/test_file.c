/*
 * Files on a real disk, and a disk that fails: the linker sends the system calls of file.c through
 * the functions below (see CMakeLists.txt), which count them and fail the one they are told to.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/mem.h"
#include "tests/support/support.h"

/* --- the failing disk --- */

static struct {
    long calls_until_failure; /* negative: none fails */
    const char *failed;       /* the call that did */
    bool in_bits;             /* reads and writes do one byte, every second one is interrupted */
    bool interrupt;
} disk = {.calls_until_failure = -1};

static bool fails(const char *call)
{
    if (disk.calls_until_failure < 0 || disk.calls_until_failure-- > 0) {
        return false;
    }
    disk.failed = call;
    errno = EIO;
    return true;
}

static bool is_interrupted(size_t *n)
{
    if (!disk.in_bits) {
        return false;
    }
    *n = *n > 1 ? 1 : *n;
    disk.interrupt = !disk.interrupt;
    errno = EINTR;
    return disk.interrupt;
}

int __real_open(const char *path, int flags, ...);
ssize_t __real_read(int fd, void *to, size_t n);
ssize_t __real_write(int fd, const void *from, size_t n);
int __real_fsync(int fd);
int __real_close(int fd);
int __real_rename(const char *from, const char *to);

int __wrap_open(const char *path, int flags, ...);
ssize_t __wrap_read(int fd, void *to, size_t n);
ssize_t __wrap_write(int fd, const void *from, size_t n);
int __wrap_fsync(int fd);
int __wrap_close(int fd);
int __wrap_rename(const char *from, const char *to);

int __wrap_open(const char *path, int flags, ...)
{
    mode_t mode = 0;

    if (flags & O_CREAT) {
        va_list args;

        va_start(args, flags);
        mode = va_arg(args, mode_t);
        va_end(args);
    }
    return fails("open") ? -1 : __real_open(path, flags, mode);
}

ssize_t __wrap_read(int fd, void *to, size_t n)
{
    return fails("read") || is_interrupted(&n) ? -1 : __real_read(fd, to, n);
}

ssize_t __wrap_write(int fd, const void *from, size_t n)
{
    return fails("write") || is_interrupted(&n) ? -1 : __real_write(fd, from, n);
}

int __wrap_fsync(int fd)
{
    return fails("fsync") ? -1 : __real_fsync(fd);
}

/* A close that fails has closed all the same. */
int __wrap_close(int fd)
{
    bool failed = fails("close");
    int rc = __real_close(fd);

    errno = failed ? EIO : errno;
    return failed ? -1 : rc;
}

int __wrap_rename(const char *from, const char *to)
{
    return fails("rename") ? -1 : __real_rename(from, to);
}

/* --- a folder for each test --- */

static char *folder;

static int make_folder(void **state)
{
    (void)state;
    disk.in_bits = false;
    disk.calls_until_failure = -1;
    mem_fail_after(-1);
    folder = support_temp_dir();
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    support_remove_dir(folder);
    return 0;
}

static void assert_content(const char *path, const char *expected)
{
    struct file_bytes bytes = {0};
    struct err err = {0};

    if (file_read(&bytes, path, 1 << 20, &err) != 0) {
        fail_msg("%s", err.text);
    }
    assert_int_equal(bytes.size, strlen(expected));
    assert_string_equal(bytes.data, expected);
    file_release(&bytes);
}

static size_t entries_in(const char *path)
{
    DIR *dir = opendir(path);
    size_t n = 0;

    assert_non_null(dir);
    for (struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir)) {
        n += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
    }
    closedir(dir);
    return n;
}

static size_t open_descriptors(void)
{
    return entries_in("/proc/self/fd");
}

/* --- reading --- */

static void reads_a_file_whole(void **state)
{
    struct file_bytes bytes = {0};
    char *path = file_join(folder, "a");

    (void)state;
    support_write_bytes(folder, "a", "x\0y", 3);
    assert_int_equal(file_read(&bytes, path, 3, NULL), 0);
    assert_int_equal(bytes.size, 3);
    assert_memory_equal(bytes.data, "x\0y", 4);
    file_release(&bytes);
    assert_null(bytes.data);
    file_release(&bytes);
    free(path);
}

static void reads_an_empty_file(void **state)
{
    char *path = file_join(folder, "a");

    (void)state;
    support_write(folder, "a", "");
    assert_content(path, "");
    free(path);
}

static void reads_files_that_do_not_know_their_size(void **state)
{
    struct file_bytes bytes = {0};

    (void)state;
    assert_int_equal(file_read(&bytes, "/proc/self/smaps", 1 << 24, NULL), 0);
    assert_true(bytes.size > 100);
    assert_int_equal(strlen(bytes.data), bytes.size);
    file_release(&bytes);
    assert_int_equal(file_read(&bytes, "/proc/self/maps", 10, NULL), ERR_LIMIT);
    assert_null(bytes.data);
}

static void tells_why_a_file_cannot_be_read(void **state)
{
    struct file_bytes bytes = {0};
    struct err err = {0};
    char *path = file_join(folder, "a");
    char *below = file_join(path, "b");
    char *pipe_path = file_join(folder, "pipe");

    (void)state;
    assert_int_equal(file_read(&bytes, path, 10, &err), ERR_MISSING);
    assert_memory_equal(err.text, path, strlen(path));
    support_write(folder, "a", "12345");
    assert_int_equal(file_read(&bytes, path, 4, &err), ERR_LIMIT);
    assert_non_null(strstr(err.text, "/a: larger than 4 bytes"));
    assert_int_equal(file_read(&bytes, below, 10, &err), ERR_MISSING);
    assert_int_equal(file_read(&bytes, folder, 10, &err), ERR_IO);
    assert_int_equal(mkfifo(pipe_path, 0600), 0);
    assert_int_equal(file_read(&bytes, pipe_path, 10, &err), ERR_IO);
    assert_non_null(strstr(err.text, "pipe: not a regular file"));
    assert_null(bytes.data);
    free(path);
    free(below);
    free(pipe_path);
}

static void reads_on_after_interruptions(void **state)
{
    char *path = file_join(folder, "a");

    (void)state;
    support_write(folder, "a", "in small bits");
    disk.in_bits = true;
    assert_content(path, "in small bits");
    free(path);
}

static void reading_leaks_nothing_whichever_call_fails(void **state)
{
    char *path = file_join(folder, "a");
    size_t open_before = open_descriptors();

    (void)state;
    support_write(folder, "a", "12345");
    for (long k = 0;; k++) {
        struct file_bytes bytes = {0};

        disk.failed = NULL;
        disk.calls_until_failure = k;
        int rc = file_read(&bytes, path, 10, NULL);
        disk.calls_until_failure = -1;
        assert_int_equal(open_descriptors(), open_before);
        if (disk.failed == NULL) {
            file_release(&bytes);
            break;
        }
        bool harmless = strcmp(disk.failed, "close") == 0; /* all was read by then */
        assert_int_equal(rc, harmless ? 0 : ERR_IO);
        assert_int_equal(bytes.data != NULL, harmless);
        file_release(&bytes);
    }
    free(path);
}

static void reading_fails_as_a_value_when_memory_is_short(void **state)
{
    struct file_bytes bytes = {0};

    (void)state;
    for (long k = 0; k < 2; k++) { /* the first buffer, and a larger one */
        mem_fail_after(k);
        assert_int_equal(file_read(&bytes, "/proc/self/smaps", 1 << 24, NULL), ERR_MEMORY);
        assert_null(bytes.data);
    }
}

static void maps_a_file(void **state)
{
    struct file_map map = {0};
    struct stat status;
    char *path = file_join(folder, "a");

    (void)state;
    support_write(folder, "a", "mapped");
    assert_int_equal(file_map(&map, path, NULL), 0);
    assert_int_equal(map.size, 6);
    assert_memory_equal(map.data, "mapped", 6);
    assert_int_equal(stat(path, &status), 0);
    assert_true(map.inode == status.st_ino && map.device == status.st_dev);
    assert_true(map.mtime_ns / 1000000000 == status.st_mtim.tv_sec);
    file_unmap(&map);
    assert_null(map.data);
    file_unmap(&map);
    free(path);
}

static void maps_nothing_of_an_empty_file(void **state)
{
    struct file_map map = {0};
    struct err err = {0};
    char *path = file_join(folder, "a");

    (void)state;
    assert_int_equal(file_map(&map, path, &err), ERR_MISSING);
    assert_int_equal(file_map(&map, folder, &err), ERR_IO);
    support_write(folder, "a", "");
    assert_int_equal(file_map(&map, path, &err), 0);
    assert_null(map.data);
    assert_int_equal(map.size, 0);
    file_unmap(&map);
    free(path);
}

/* --- writing --- */

static void writes_and_replaces(void **state)
{
    char *path = file_join(folder, "a");
    struct stat status;
    mode_t mask = umask(022);

    (void)state;
    assert_int_equal(file_write(path, "old", 3, 0600, NULL), 0);
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0600);
    assert_int_equal(file_write(path, "new one", 7, 0666, NULL), 0);
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0644);
    assert_content(path, "new one");
    assert_int_equal(entries_in(folder), 1);
    umask(mask);
    free(path);
}

static void writes_on_after_interruptions(void **state)
{
    char *path = file_join(folder, "a");

    (void)state;
    disk.in_bits = true;
    assert_int_equal(file_write(path, "in small bits", 13, 0644, NULL), 0);
    assert_content(path, "in small bits");
    free(path);
}

static void writes_past_what_a_crash_left_behind(void **state)
{
    char *name = mem_printf(".braid-%ld-0.tmp", (long)getpid());
    char *path = file_join(folder, "a");

    (void)state;
    support_write(folder, name, "half of somethi");
    assert_int_equal(file_write(path, "fine", 4, 0644, NULL), 0);
    assert_content(path, "fine");
    free(name);
    free(path);
}

static void tells_why_a_file_cannot_be_written(void **state)
{
    struct err err = {0};
    char *path = file_join(folder, "none/a");

    (void)state;
    assert_int_equal(file_write(path, "x", 1, 0644, &err), ERR_MISSING);
    assert_memory_equal(err.text, path, strlen(path));
    assert_int_equal(file_write(folder, "x", 1, 0644, &err), ERR_IO); /* a folder is in the way */
    assert_int_equal(entries_in(folder), 0);
    free(path);
}

static void the_old_file_stands_whichever_call_fails(void **state)
{
    char *path = file_join(folder, "a");
    size_t open_before = open_descriptors();
    size_t n_failures = 0;

    (void)state;
    for (long k = 0;; k++) {
        struct err err = {0};

        assert_int_equal(file_write(path, "old", 3, 0644, NULL), 0);
        disk.failed = NULL;
        disk.calls_until_failure = k;
        int rc = file_write(path, "new", 3, 0644, &err);
        disk.calls_until_failure = -1;

        assert_int_equal(entries_in(folder), 1);
        assert_int_equal(open_descriptors(), open_before);
        if (disk.failed == NULL) {
            assert_int_equal(rc, 0);
            break;
        }
        /* open, write, fsync, close, rename come before the new name is there; the folder's open,
         * fsync and close after it. */
        bool harmless = k == 7;
        assert_content(path, k < 5 ? "old" : "new");
        assert_int_equal(rc, harmless ? 0 : ERR_IO);
        assert_true(harmless || strstr(err.text, "Input/output error") != NULL);
        n_failures++;
    }
    assert_int_equal(n_failures, 8);
    free(path);
}

/* --- folders and names --- */

static void makes_folders_with_their_parents(void **state)
{
    char *path = file_join(folder, "a/b//c");
    char *slashed = file_join(folder, "d/e/");

    (void)state;
    assert_int_equal(file_make_dirs(path, NULL), 0);
    assert_true(file_is_dir(path));
    assert_int_equal(file_make_dirs(path, NULL), 0);
    assert_int_equal(file_make_dirs(slashed, NULL), 0);
    assert_true(file_is_dir(slashed));
    assert_int_equal(file_make_dirs("/", NULL), 0);
    free(path);
    free(slashed);
}

static void does_not_make_a_folder_of_a_file(void **state)
{
    struct err err = {0};
    char *file = file_join(folder, "a");
    char *below = file_join(folder, "a/b");

    (void)state;
    support_write(folder, "a", "x");
    assert_int_equal(file_make_dirs(file, &err), ERR_CONFLICT);
    assert_int_equal(file_make_dirs(below, &err), ERR_CONFLICT);
    assert_content(file, "x");
    free(file);
    free(below);
}

static void removes_a_tree_and_follows_no_link(void **state)
{
    char *tree = file_join(folder, "tree");
    char *deep = file_join(folder, "tree/a/b");
    char *kept = file_join(folder, "kept");
    char *link = file_join(folder, "tree/a/link");

    (void)state;
    assert_int_equal(file_make_dirs(deep, NULL), 0);
    assert_int_equal(file_make_dirs(kept, NULL), 0);
    support_write(kept, "file", "x");
    support_write(deep, "file", "x");
    assert_int_equal(symlink(kept, link), 0);
    assert_int_equal(file_remove_tree(tree, NULL), 0);
    assert_false(file_exists(tree));
    assert_int_equal(entries_in(kept), 1);
    assert_int_equal(file_remove_tree(tree, NULL), 0); /* missing is no error */
    free(tree);
    free(deep);
    free(kept);
    free(link);
}

static void syncs_folders_only(void **state)
{
    char *path = file_join(folder, "a");

    (void)state;
    assert_int_equal(file_sync_dir(folder, NULL), 0);
    assert_int_equal(file_sync_dir(path, NULL), ERR_MISSING);
    free(path);
}

static void knows_files_and_folders(void **state)
{
    char *path = file_join(folder, "a");

    (void)state;
    assert_false(file_exists(path));
    support_write(folder, "a", "x");
    assert_true(file_exists(path));
    assert_false(file_is_dir(path));
    assert_true(file_exists(folder));
    assert_true(file_is_dir(folder));
    free(path);
}

static void assert_made(char *made, const char *expected)
{
    assert_string_equal(made, expected);
    free(made);
}

static void takes_paths_apart_and_puts_them_together(void **state)
{
    (void)state;
    assert_made(file_join("a", "b"), "a/b");
    assert_made(file_join("a/", "b"), "a/b");
    assert_made(file_join("", "b"), "b");
    assert_made(file_join("/", "b"), "/b");
    assert_made(file_folder("a/b/c"), "a/b");
    assert_made(file_folder("/a"), "/");
    assert_made(file_folder("a"), ".");
    assert_made(file_resolve("a/b", "../c"), "a/b/../c");
    assert_made(file_resolve("a/b", "/c"), "/c");
    assert_string_equal(file_name("a/b/c.yaml"), "c.yaml");
    assert_string_equal(file_name("c.yaml"), "c.yaml");
}

static void resolves_links_and_dots(void **state)
{
    char *inner = file_join(folder, "a");
    char *link = file_join(folder, "link");
    char *dotted = file_join(folder, "link/../a/.");
    char *missing = file_join(folder, "none");
    char *made = NULL, *expected = NULL;

    (void)state;
    assert_int_equal(file_make_dirs(inner, NULL), 0);
    assert_int_equal(symlink("a", link), 0);
    assert_int_equal(file_absolute(&expected, inner, NULL), 0);
    assert_int_equal(file_absolute(&made, dotted, NULL), 0);
    assert_string_equal(made, expected);
    free(made);
    made = NULL;
    assert_int_equal(file_absolute(&made, missing, NULL), ERR_MISSING);
    assert_null(made);
    free(expected);
    free(inner);
    free(link);
    free(dotted);
    free(missing);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(reads_a_file_whole, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(reads_an_empty_file, make_folder, remove_folder),
        cmocka_unit_test(reads_files_that_do_not_know_their_size),
        cmocka_unit_test_setup_teardown(tells_why_a_file_cannot_be_read, make_folder,
                                        remove_folder),
        cmocka_unit_test_setup_teardown(reads_on_after_interruptions, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(reading_leaks_nothing_whichever_call_fails, make_folder,
                                        remove_folder),
        cmocka_unit_test_setup_teardown(reading_fails_as_a_value_when_memory_is_short, make_folder,
                                        remove_folder),
        cmocka_unit_test_setup_teardown(maps_a_file, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(maps_nothing_of_an_empty_file, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(writes_and_replaces, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(writes_on_after_interruptions, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(writes_past_what_a_crash_left_behind, make_folder,
                                        remove_folder),
        cmocka_unit_test_setup_teardown(tells_why_a_file_cannot_be_written, make_folder,
                                        remove_folder),
        cmocka_unit_test_setup_teardown(the_old_file_stands_whichever_call_fails, make_folder,
                                        remove_folder),
        cmocka_unit_test_setup_teardown(makes_folders_with_their_parents, make_folder,
                                        remove_folder),
        cmocka_unit_test_setup_teardown(does_not_make_a_folder_of_a_file, make_folder,
                                        remove_folder),
        cmocka_unit_test_setup_teardown(removes_a_tree_and_follows_no_link, make_folder,
                                        remove_folder),
        cmocka_unit_test_setup_teardown(syncs_folders_only, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(knows_files_and_folders, make_folder, remove_folder),
        cmocka_unit_test(takes_paths_apart_and_puts_them_together),
        cmocka_unit_test_setup_teardown(resolves_links_and_dots, make_folder, remove_folder),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
