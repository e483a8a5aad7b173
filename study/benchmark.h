/*
 * benchmark.h - published benchmarks by how their tasks' names begin.
 *
 * A search that sees a benchmark's test data makes its numbers there worthless to others. Tasks
 * that other programs score and prompts that a harness has logged are what such data comes in; all
 * that tells them is a name.
 */
#ifndef STUDY_BENCHMARK_H
#define STUDY_BENCHMARK_H

/* The benchmark whose name this one begins like, as "gsm8k"; NULL: none, or its training part by
 * its name (train, dev, valid). Case does not matter, and - is _. */
const char *benchmark_of(const char *name);

#endif
