/*
 * store.c - the file: transactions, lock, schema, open and close.
 *
 *   night.db         the database; rollback never needed, a write-ahead log instead:
 *   night.db-wal     commits not yet copied into it
 *   night.db-shm     index of the log, shared by the processes that have it open
 *   night.db.lock    the writer's process id, under flock: who owns the file
 *
 * The lock is the kernel's and dies with the process; the number in it is for people. SQLite's own
 * locks would let two writers take turns, and two coordinators that take turns are two searches in
 * one file.
 */
#include "store/store.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "store/store_internal.h"

#define APPLICATION_ID 0x62726169 /* "brai", told by file(1) */
#define BUSY_MS 5000

extern const char store_schema[]; /* schema.sql, by schema.S */

int64_t store_now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* ---- transactions ---- */

static int set_sync(struct store *store, enum store_sync sync, struct err *err)
{
    if (store->sync == sync) {
        return 0;
    }
    const char *sql =
        sync == STORE_DURABLE ? "PRAGMA synchronous=FULL" : "PRAGMA synchronous=NORMAL";
    if (sqlite3_exec(store->db, sql, NULL, NULL, NULL) != SQLITE_OK) {
        return store_trouble(store, err);
    }
    store->sync = sync;
    return 0;
}

int store_begin(struct store *store, enum store_sync sync, struct err *err)
{
    assert(!store->open);
    int rc = set_sync(store, sync, err);

    if (rc == 0) {
        rc = store_run(store, err, "BEGIN IMMEDIATE", "");
    }
    if (rc == 0) {
        store->open = true;
        store->event_next = store->event;
        memcpy(store->chain_next, store->chain, sizeof(store->chain));
    }
    return rc;
}

static int at_edge(struct store *store, enum store_edge edge, struct err *err)
{
    if (store->hook != NULL && store->hook(store->hook_context, edge) != 0) {
        return err_set(err, ERR_IO, "database: stopped %s a commit",
                       edge == STORE_BEFORE_COMMIT ? "before" : "after");
    }
    return 0;
}

int store_commit(struct store *store, struct err *err)
{
    assert(store->open);
    int rc = at_edge(store, STORE_BEFORE_COMMIT, err);
    if (rc == 0) {
        rc = store_run(store, err, "COMMIT", "");
    }
    if (rc != 0) {
        store_rollback(store);
        return rc;
    }
    store->open = false;
    store->event = store->event_next;
    memcpy(store->chain, store->chain_next, sizeof(store->chain));
    return at_edge(store, STORE_AFTER_COMMIT, err);
}

void store_rollback(struct store *store)
{
    if (store->open) {
        store_run(store, NULL, "ROLLBACK", "");
        store->open = false;
    }
}

void store_set_hook(struct store *store, int (*hook)(void *context, enum store_edge edge),
                    void *context)
{
    store->hook = hook;
    store->hook_context = context;
}

/* ---- the lock ---- */

static int say_who_holds(const char *path, const char *lock_path, struct err *err)
{
    struct file_bytes holder = {0};

    if (file_read(&holder, lock_path, 64, NULL) != 0) {
        return err_set(err, ERR_CONFLICT, "%s: another process uses it", path);
    }
    int rc =
        err_set(err, ERR_CONFLICT, "%s: process %ld uses it", path, strtol(holder.data, NULL, 10));
    file_release(&holder);
    return rc;
}

static int take_lock(struct store *store, const char *path, struct err *err)
{
    char *lock_path = mem_printf("%s.lock", path);
    int rc = 0;

    store->lock = open(lock_path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    bool locked = store->lock >= 0 && flock(store->lock, LOCK_EX | LOCK_NB) == 0;
    if (store->lock >= 0 && !locked && errno == EWOULDBLOCK) {
        rc = say_who_holds(path, lock_path, err);
    } else if (!locked || ftruncate(store->lock, 0) != 0 ||
               dprintf(store->lock, "%ld\n", (long)getpid()) < 0) {
        rc = err_set_errno(err, ERR_IO, "%s", lock_path);
    }
    free(lock_path);
    return rc;
}

/* Locks and shared memory are not to be trusted over a network: <linux/magic.h> and friends. */
static const struct {
    uint32_t magic;
    const char *name;
} network_file_systems[] = {
    {0x6969, "NFS"},      {0xFF534D42, "CIFS"},   {0xFE534D42, "SMB"}, {0x517B, "SMB"},
    {0x01021997, "9P"},   {0x00C36400, "Ceph"},   {0x5346414F, "AFS"}, {0x0BD00BD0, "Lustre"},
    {0x47504653, "GPFS"}, {0x19830326, "BeeGFS"}, {0x6B414653, "AFS"},
};

static int refuse_network(const char *path, struct err *err)
{
    struct statfs where;
    char *folder = file_folder(path);
    int rc = 0;

    if (statfs(folder, &where) != 0) {
        rc = errno == ENOENT ? err_set(err, ERR_MISSING, "%s: there is no such folder", folder)
                             : err_set_errno(err, ERR_IO, "%s", folder);
    }
    for (size_t i = 0;
         rc == 0 && i < sizeof(network_file_systems) / sizeof(network_file_systems[0]); i++) {
        if ((uint32_t)where.f_type == network_file_systems[i].magic) {
            rc = err_set(
                err, ERR_IO,
                "%s: on a network file system (%s), where a database is not safe; put it on "
                "a local disk",
                path, network_file_systems[i].name);
        }
    }
    free(folder);
    return rc;
}

/* ---- opening ---- */

int store_run_all(struct store *store, const char *sql, struct err *err)
{
    return sqlite3_exec(store->db, sql, NULL, NULL, NULL) == SQLITE_OK ? 0
                                                                       : store_trouble(store, err);
}

static int connect_to(struct store *store, const char *path, int flags, struct err *err)
{
    if (sqlite3_open_v2(path, &store->db, flags | SQLITE_OPEN_NOMUTEX, NULL) != SQLITE_OK) {
        return store->db != NULL ? store_trouble(store, err)
                                 : err_set(err, ERR_MEMORY, "database: out of memory");
    }
    sqlite3_extended_result_codes(store->db, 0);
    sqlite3_busy_timeout(store->db, BUSY_MS);
    sqlite3_db_config(store->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    sqlite3_db_config(store->db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
    return 0;
}

/* Ours, of a version we know, 0 when the file is new. */
static int check_schema(struct store *store, uint64_t *version, struct err *err)
{
    uint64_t application = 0, tables = 0;
    int rc = store_number(store, version, err, "PRAGMA user_version", "");

    if (rc == 0) {
        rc = store_number(store, &application, err, "PRAGMA application_id", "");
    }
    if (rc == 0) {
        rc = store_number(store, &tables, err, "SELECT count(*) FROM sqlite_schema", "");
    }
    if (rc != 0) {
        return rc;
    }
    if (*version == 0 && application == 0 && tables == 0) {
        return 0;
    }
    if (application != APPLICATION_ID || *version == 0) {
        return err_set(err, ERR_FORMAT, "database: made by another program");
    }
    if (*version > STORE_SCHEMA_VERSION) {
        return err_set(
            err, ERR_CONFLICT,
            "database: schema version %llu is newer than %d, the newest this braid knows",
            (unsigned long long)*version, STORE_SCHEMA_VERSION);
    }
    return 0;
}

static int make_schema(struct store *store, struct err *err)
{
    int rc = store_begin(store, STORE_DURABLE, err);

    if (rc == 0) {
        rc = store_run_all(store, store_schema, err);
    }
    if (rc == 0) {
        char sql[96];

        snprintf(sql, sizeof(sql), "PRAGMA application_id=%d; PRAGMA user_version=%d",
                 APPLICATION_ID, STORE_SCHEMA_VERSION);
        rc = store_run_all(store, sql, err);
    }
    if (rc != 0) {
        store_rollback(store);
        return rc;
    }
    return store_commit(store, err);
}

static int load_id(struct store *store, struct err *err)
{
    sqlite3_stmt *row;
    int rc = store_start(store, &row, err, "SELECT nonce FROM study", "");

    if (rc == 0 && (rc = store_step(store, row, err)) == 1) {
        snprintf(store->id, sizeof(store->id), "%s", store_column_peek(row, 0));
        store_stop(row);
        rc = 0;
    }
    return rc;
}

static int set_up_writer(struct store *store, struct err *err)
{
    uint64_t version;
    int rc = store_run_all(
        store,
        "PRAGMA foreign_keys=ON; PRAGMA synchronous=FULL; PRAGMA temp_store=MEMORY;"
        "PRAGMA wal_autocheckpoint=4000", /* 16 MB: pages that are written often go back once */
        err);

    if (rc == 0) {
        rc = check_schema(store, &version, err);
    }
    if (rc == 0) {
        rc = store_run_all(store, "PRAGMA journal_mode=WAL", err);
    }
    if (rc == 0 && version < STORE_SCHEMA_VERSION) {
        rc = version == 0 ? make_schema(store, err) : store_upgrade(store, version, err);
    }
    if (rc == 0) {
        rc = load_id(store, err);
    }
    if (rc == 0) {
        rc = store_check(store, err);
    }
    return rc != 0 ? rc : store_load_chain(store, err);
}

/* A new file for our eyes only; SQLite gives its -wal and -shm the same mode. An existing one is
 * not opened here: closing it again would drop the locks that a reader in this process holds on it
 * (POSIX). */
static int make_private(const char *path, struct err *err)
{
    if (file_exists(path)) {
        return 0;
    }
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    return fd < 0 || close(fd) != 0 ? err_set_errno(err, ERR_IO, "%s", path) : 0;
}

int store_open(struct store **out, const char *path, struct err *err)
{
    bool in_memory = strcmp(path, ":memory:") == 0;
    struct store *store = mem_array(1, sizeof(*store));
    int rc = 0;

    store->lock = -1;
    if (!in_memory) {
        rc = refuse_network(path, err);
        if (rc == 0) {
            rc = take_lock(store, path, err);
        }
        if (rc == 0) {
            rc = make_private(path, err);
        }
    }
    if (rc == 0) {
        rc = connect_to(store, path, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, err);
        if (rc == 0) {
            rc = set_up_writer(store, err);
        }
        if (rc != 0) {
            rc = err_wrap(err, "%s", path);
        }
    }
    if (rc != 0) {
        store_close(store);
        return rc;
    }
    *out = store;
    return 0;
}

static int set_up_reader(struct store *store, const char *path, uint64_t *version, struct err *err)
{
    int rc = connect_to(store, path, SQLITE_OPEN_READONLY, err);

    if (rc == 0) {
        rc = store_run_all(store, "PRAGMA wal_autocheckpoint=0; PRAGMA query_only=ON", err);
    }
    if (rc == 0) {
        rc = check_schema(store, version, err);
    }
    if (rc == 0 && *version == 0) {
        rc = err_set(err, ERR_MISSING, "database: nothing was started in it");
    }
    if (rc == 0 && *version == STORE_SCHEMA_VERSION) {
        rc = load_id(store, err);
    }
    return rc != 0 ? err_wrap(err, "%s", path) : 0;
}

/* Opening to write brings a file up to date. */
static int open_and_close(const char *path, struct err *err)
{
    struct store *store = NULL;
    int rc = store_open(&store, path, err);

    if (rc == 0) {
        store_close(store);
    }
    return rc;
}

int store_open_reader(struct store **out, const char *path, struct err *err)
{
    struct store *store = mem_array(1, sizeof(*store));
    uint64_t version = 0;
    int rc =
        file_exists(path) ? 0 : err_set(err, ERR_MISSING, "%s: there is no such database", path);

    store->lock = -1;
    if (rc == 0) {
        rc = set_up_reader(store, path, &version, err);
    }
    if (rc != 0 || version < STORE_SCHEMA_VERSION) {
        store_close(store);
        rc = rc != 0 ? rc : open_and_close(path, err);
        return rc != 0 ? rc : store_open_reader(out, path, err);
    }
    *out = store;
    return 0;
}

void store_close(struct store *store)
{
    if (store == NULL) {
        return;
    }
    if (store->db != NULL) {
        store_rollback(store);
    }
    for (size_t i = 0; i < store->n_statements; i++) {
        sqlite3_finalize(store->statements[i].prepared);
    }
    sqlite3_close(store->db);
    if (store->lock >= 0) {
        close(store->lock);
    }
    free(store);
}

void store_make_id(struct store *store)
{
    unsigned char bytes[16];

    if (getrandom(bytes, sizeof(bytes), 0) != (ssize_t)sizeof(bytes)) {
        memset(bytes, 0, sizeof(bytes)); /* a name, not a secret: better a dull one than none */
    }
    for (size_t i = 0; i < sizeof(bytes); i++) {
        snprintf(store->id + 2 * i, 3, "%02x", bytes[i]);
    }
}

const char *store_id(const struct store *store)
{
    return store->id;
}

int store_backup(struct store *store, const char *path, struct err *err)
{
    if (file_exists(path)) {
        return err_set(err, ERR_CONFLICT, "%s: exists already", path);
    }
    int rc = store_run(store, err, "VACUUM INTO ?1", "t", path);
    return rc != 0 ? err_wrap(err, "%s", path) : 0;
}
