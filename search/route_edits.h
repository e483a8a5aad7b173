/*
 * route_edits.h - routes as a few edits of the host's own.
 *
 *      host                     A0 A1 A2 A3 A4 A5
 *      repeat 2-3               A0 A1 A2 A3 A2 A3 A4 A5
 *      skip 2-3                 A0 A1 A4 A5
 *      splice 2-3 from B        A0 A1 B2 B3 A4 A5
 *      insert 2-3 from B        A0 A1 A2 A3 B2 B3 A4 A5
 *
 * An edit's span counts the host's blocks, whatever the other edits do, so a set of edits makes one
 * route in whatever order it is written: splices first, then skips, then repeats and inserts, each
 * by start, length and source. A repeat runs again what stands in its span by then. Spans are cut
 * to what is not pinned and to the blocks that the source has; an addition that would make the
 * route longer than the frame allows is left out.
 */
#ifndef SEARCH_ROUTE_EDITS_H
#define SEARCH_ROUTE_EDITS_H

#include "base/text.h"
#include "search/route_frame.h"

#define EDITS_MAX 4
#define EDIT_LENGTH_MAX 8 /* of those that are listed */

enum edit_op { EDIT_REPEAT, EDIT_SKIP, EDIT_SPLICE, EDIT_INSERT };
#define EDIT_OPS 4

struct edit {
    enum edit_op op;
    uint32_t start, length; /* host blocks [start, start + length) */
    uint32_t source;        /* a model of the frame, at least 1, for splice and insert; else 0 */
};

const char *edit_op_name(enum edit_op op);
/* "splice 2-3 lang"; names [n_models]. */
void edit_print(struct text *out, const struct edit *edit, const char *const *names);

/* The route of edits [n], n <= EDITS_MAX; n = 0: the host's own. The caller releases it. */
void edits_build(struct route *out, const struct route_frame *frame, const struct edit *edits,
                 size_t n);

/*
 * Every single edit that changes something and fits the frame whole, spans of at most length_max
 * blocks: none makes the route of another. Lengths 1, 2, 4 and 8 come first, since a budget may end
 * the list early; then op, start, source. Returns how many; the caller frees *out.
 */
size_t edits_list(struct edit **out, const struct route_frame *frame, uint32_t length_max);

#endif
