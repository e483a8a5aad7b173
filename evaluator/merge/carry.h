/*
 * carry.h - a plan carried out into files, by one process a core, as far as that helps.
 *
 *   plan --> tensors, largest first --> crew (base/crew.h)   mix, round, digest, write at its place
 *                                   \-> crew
 *                                   \-> crew
 *
 * Sources are read once, from the maps or the disk, and no more of them stays in a process than a
 * step of each (base/file.h). Where a tensor lies in its file is known beforehand, so no process
 * waits for another, and the bytes are the same however many there are.
 */
#ifndef MERGE_CARRY_H
#define MERGE_CARRY_H

#include <stddef.h>

#include "base/digest.h"
#include "base/err.h"
#include "evaluator/merge/plan.h"
#include "evaluator/model/safetensors_write.h"

/* Where as many as there are cores are asked for, no more than these are taken: memory and disk are
 * at their limits by then, and each holds some of the sources. */
#define CARRY_PROCESSES_MAX ((size_t)16)

/*
 * Write every tensor of the plan; the i-th is the writer's i-th. n_processes 0: one a core.
 *
 * weights receives the digest (blend.h); NULL: not wanted, which nearly doubles the speed.
 * Errors are blend_run's and the writer's; ERR_CONFLICT: a source changed on the disk meanwhile;
 * ERR_IO: a process was killed; ERR_STOPPED: stop.h. Files are then as they are.
 */
int carry_out(const struct plan *plan, struct safetensors_writer *writer, size_t n_processes,
              char weights[DIGEST_HEX], struct err *err);

/* The most bytes that all its processes together have in memory, the caller too: their own and
 * those of maps. n_processes as above. */
size_t carry_memory(const struct plan *plan, size_t n_processes);

#endif
