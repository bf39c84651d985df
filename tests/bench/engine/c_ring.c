/* SPDX-License-Identifier: BSD-3-Clause
 * The work ring as the Open vSwitch design tells it, in plain C, with its constants: 128 slots, 1000 attempts. */
#include <errno.h>
#include <stdlib.h>

#include "candidate.h"

#define WORK_RING_SIZE 128U
#define WORK_RING_MASK (WORK_RING_SIZE - 1)
#define MAX_ATTEMPTS 1000

struct work_item {
    bench_work_func work_func;
    void *port;
    uint16_t qid;
    uint32_t attempts;
};

struct work_ring {
    struct work_item items[WORK_RING_SIZE];
    uint32_t read_index;
    uint32_t write_index;
    uint64_t work_deferred;
    uint64_t work_in_progress;
    uint64_t work_ring_full;
    uint64_t work_done;
    uint64_t work_dropped;
};

static struct work_ring *ring;
static struct bench_variant variant;
static uint32_t next_queue;

static inline int do_work(struct work_ring *r) {
    if (r->read_index == r->write_index) {
        return -ENOENT;
    }
    struct work_item *item = &r->items[r->read_index & WORK_RING_MASK];
    int result = item->work_func(item->port, item->qid, false);
    if (result == -EINPROGRESS) {
        r->work_in_progress++;
        if (item->attempts < MAX_ATTEMPTS) {
            item->attempts++;
            return -EINPROGRESS;
        }
        result = item->work_func(item->port, item->qid, true);
        if (result != 0) {
            r->work_dropped++;
            r->read_index++;
            return 0;
        }
    }
    r->work_done++;
    r->read_index++;
    return 0;
}

static inline void defer(struct work_ring *r, bench_work_func work_func, void *port, uint16_t qid) {
    if (r->write_index - r->read_index == WORK_RING_MASK) {
        r->work_ring_full++;
        while (r->write_index - r->read_index == WORK_RING_MASK) {
            do_work(r);
        }
    }
    struct work_item *item = &r->items[r->write_index++ & WORK_RING_MASK];
    item->work_func = work_func;
    item->port = port;
    item->qid = qid;
    item->attempts = 0;
    r->work_deferred++;
}

static inline __attribute__((always_inline)) void defer_next(void) {
    const struct bench_tx_port *tx = &bench_tx_ports[next_queue++ & (variant.queues - 1)];
    defer(ring, tx->work_func, tx->port, tx->qid);
}

static void prepare(const struct bench_variant *wanted) {
    free(ring);
    ring = calloc(1, sizeof(*ring));
    variant = *wanted;
    bench_set_tx_ports(wanted);
    next_queue = 0;
    for (uint32_t i = 1; i < variant.depth; i++) {
        defer_next();
    }
}

static void round_trips(uint64_t count) {
    while (count-- > 0) {
        defer_next();
        while (do_work(ring) != 0) {
        }
    }
}

const struct bench_candidate bench_c_ring = {prepare, round_trips};
