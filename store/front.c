/*
 * front.c - several objectives: which tasks they are, which candidates nothing dominates, and how
 * each of the final table stands in each.
 */
#include <stdlib.h>

#include "base/mem.h"
#include "store/store_internal.h"

int store_add_objective(struct store *store, size_t number, size_t task, struct err *err)
{
    return store_run(store, err, "INSERT INTO objectives (number, task) VALUES (?, ?)", "ii",
                     number, task);
}

int store_add_front(struct store *store, uint64_t candidate, struct err *err)
{
    return store_run(store, err, "INSERT INTO front (candidate) VALUES (?)", "i", candidate);
}

int store_drop_front(struct store *store, uint64_t candidate, struct err *err)
{
    return store_run(store, err, "DELETE FROM front WHERE candidate = ?", "i", candidate);
}

int store_front(struct store *store, uint64_t **out, size_t *n, struct err *err)
{
    sqlite3_stmt *row;
    uint64_t *made = NULL;
    size_t count = 0, room = 0;
    int rc = store_start(store, &row, err, "SELECT candidate FROM front ORDER BY candidate", "");

    while (rc == 0 && (rc = store_step(store, row, err)) == 1) {
        if (count == room) {
            room = room == 0 ? 64 : 2 * room;
            made = mem_resize(made, room, sizeof(*made));
        }
        made[count++] = store_column_number(row, 0);
        rc = 0;
    }
    if (rc != 0) {
        free(made);
        return rc;
    }
    *out = made;
    *n = count;
    return 0;
}

int store_front_state(struct store *store, uint64_t *n, uint64_t *generation, struct err *err)
{
    int rc = store_number(store, n, err, "SELECT count(*) FROM front", "");

    return rc != 0 ? rc
                   : store_number(store, generation, err,
                                  "SELECT max(g.generation) FROM front AS f"
                                  "  JOIN candidates AS c ON c.candidate = f.candidate"
                                  "  JOIN generations AS g ON g.number = c.generation",
                                  "");
}

int store_add_standing(struct store *store, const struct store_standing *standing, struct err *err)
{
    return store_run(store, err,
                     "INSERT INTO standings (number, task, value, parent, difference, low, high)"
                     " VALUES (?, ?, ?, ?, ?, ?, ?)",
                     "iirkrrr", standing->number, standing->task, standing->value, standing->parent,
                     standing->difference, standing->low, standing->high);
}
