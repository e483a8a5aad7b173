/*
 * network.c - the queue of events, messages on their way, chance.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "tests/sim/run.h"

void run_violate(struct run *run, const char *format, ...)
{
    va_list arguments;

    if (run->result->violation[0] != '\0') {
        return;
    }
    va_start(arguments, format);
    vsnprintf(run->result->violation, sizeof(run->result->violation), format, arguments);
    va_end(arguments);
    run->over = true;
}

double run_chance(struct run *run)
{
    return rng64_uniform(&run->rng);
}

int64_t run_between(struct run *run, int64_t least, int64_t most)
{
    return least + (int64_t)rng64_below(&run->rng, (uint64_t)(most - least + 1));
}

/* ---- the queue ---- */

static bool before(const struct event *a, const struct event *b)
{
    return a->at_ms != b->at_ms ? a->at_ms < b->at_ms : a->order < b->order;
}

void run_put(struct run *run, struct event event)
{
    if (run->n_events == run->room_events) {
        run->room_events = run->room_events == 0 ? 64 : 2 * run->room_events;
        run->events = mem_resize(run->events, run->room_events, sizeof(*run->events));
    }
    event.order = run->order++;
    size_t i = run->n_events++;
    while (i > 0 && before(&event, &run->events[(i - 1) / 2])) {
        run->events[i] = run->events[(i - 1) / 2];
        i = (i - 1) / 2;
    }
    run->events[i] = event;
}

struct event run_take(struct run *run)
{
    struct event first = run->events[0], last = run->events[--run->n_events];
    size_t i = 0;

    for (;;) {
        size_t child = 2 * i + 1;

        if (child >= run->n_events) {
            break;
        }
        if (child + 1 < run->n_events && before(&run->events[child + 1], &run->events[child])) {
            child++;
        }
        if (!before(&run->events[child], &last)) {
            break;
        }
        run->events[i] = run->events[child];
        i = child;
    }
    run->events[i] = last;
    return first;
}

void run_post(struct run *run, struct event event)
{
    int copies = run_chance(run) < run->simulation->repeat ? 2 : 1;

    for (int i = 0; i < copies; i++) {
        if (run_chance(run) >= run->simulation->lose) {
            event.at_ms = run->now_ms + (run_chance(run) < 0.05 ? run_between(run, 1, 8000)
                                                                : run_between(run, 1, 40));
            run_put(run, event);
        }
    }
}
