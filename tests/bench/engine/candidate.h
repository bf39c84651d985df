/* SPDX-License-Identifier: BSD-3-Clause
 * What each candidate of the engine's benchmark offers, in C and in C++ alike. */
#pragma once

#ifdef __cplusplus
#include <cstdint>
extern "C" {
#else
#include <stdbool.h>
#include <stdint.h>
#endif

typedef int (*bench_work_func)(void *port, uint16_t qid, bool force);

struct bench_variant {
    bench_work_func work_func;
    uint32_t depth;  /* items on the rings at most: depth - 1 before each round trip */
    uint32_t queues; /* that the items are of in turn, a power of two */
};

/* Where sends go, as a forwarder finds it: each candidate takes the next one for each send. */
#define BENCH_MAX_QUEUES 64
struct bench_tx_port {
    bench_work_func work_func;
    void *port;
    uint16_t qid;
};
extern struct bench_tx_port bench_tx_ports[BENCH_MAX_QUEUES];
void bench_set_tx_ports(const struct bench_variant *variant);

struct bench_candidate {
    /* Fresh, with depth - 1 items. */
    void (*prepare)(const struct bench_variant *variant);
    /* So many times: defers one item, then does work until one has left. */
    void (*round_trips)(uint64_t count);
};

extern const struct bench_candidate bench_fifo;
extern const struct bench_candidate bench_per_queue;
extern const struct bench_candidate bench_c_ring;
extern const struct bench_candidate bench_rte_ring;

/* Sends: done at once, and in progress once. In a file of their own, so that no candidate sees into them. */
struct bench_port {
    uint32_t calls;
};
extern struct bench_port bench_port;
int bench_done(void *port, uint16_t qid, bool force);
int bench_in_progress_once(void *port, uint16_t qid, bool force);

#ifdef __cplusplus
}
#endif
