/*
 * power.h - a disk whose power can be cut: a VFS of SQLite that keeps files in memory.
 *
 * What was written but not synced is at the cut's mercy, sector by sector: kept, dropped, or torn
 * in the middle. What was synced stays. Shared memory is gone. The same VFS can fail single
 * operations and go on.
 */
#ifndef TESTS_SIM_POWER_H
#define TESTS_SIM_POWER_H

#include <stdbool.h>
#include <stdint.h>

/* Become SQLite's default VFS; all files that it opens from now on are ours. power_end forgets
 * them. */
void power_begin(uint64_t seed);
void power_end(void);

/* The operation (write, sync, truncate, delete) this many from now is the last that works: 0 is the
 * next one. */
void power_cut_after(long operations);
/* The cut has come: nothing works until power_restore. */
bool power_is_out(void);
/* Decide what is on the disk, and work again. Every connection must be closed. */
void power_restore(void);

/* The operation this many from now fails, once; *failed says whether it has been reached. -1: none.
 */
void power_fail_after(long operations);
bool power_has_failed(void);

#endif
